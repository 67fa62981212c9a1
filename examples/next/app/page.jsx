import { Writer } from "./writer.jsx";

// Rendered when the site is built; the browser gets it as HTML.
export default function Page() {
  return (
    <main>
      <h1>A page with a story in it</h1>
      <Writer beginning="The old lighthouse keeper" />
    </main>
  );
}
