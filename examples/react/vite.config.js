import react from "@vitejs/plugin-react";

// Addresses relative to the page: the build can be put under any path.
export default { base: "./", plugins: [react()] };
