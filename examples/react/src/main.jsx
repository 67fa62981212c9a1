import { useState } from "react";
import { createRoot } from "react-dom/client";
import "tokenformer-web"; // defines <token-former>

function App() {
  const [text, setText] = useState("The old lighthouse keeper");
  const [status, setStatus] = useState("");
  const keep = (event) => setText(event.currentTarget.text);

  // Events of the element have names in lower case.
  return (
    <main>
      <h1>A page with a story in it</h1>
      <token-former
        text={text}
        max-tokens={60}
        top-p={0.92}
        oninput={keep}
        ondone={(event) => {
          keep(event);
          setStatus(`Done, in the ${event.currentTarget.model.info.thread} thread.`);
        }}
        onerror={(event) => setStatus(event.detail.message)}
      />
      <p id="status" role="status">
        {status}
      </p>
      <p id="output">{text}</p>
    </main>
  );
}

createRoot(document.getElementById("root")).render(<App />);
