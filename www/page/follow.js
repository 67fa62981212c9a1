// Keeps the end of a growing text in sight, until the visitor scrolls away from it.

/** How far below the window's edge the element's end may be and still be "in sight". */
const SLACK_PX = 60;

/** @param {import("../tokenformer.js").TokenFormerElement} element */
export function followText(element) {
  let following = false;
  /** The visitor went up to read: only they come back. */
  let isReading = false;
  let scheduled = false;
  let lastTop = scrollY;
  const beyond = () => element.getBoundingClientRect().bottom - innerHeight;

  function follow() {
    scheduled = false;
    const distance = beyond();
    if (following && distance > 0) scrollBy({ top: distance, behavior: "instant" });
  }
  function leave() {
    isReading = true;
    following = false;
  }
  addEventListener(
    "scroll",
    () => {
      // Up, by however little: this page itself scrolls down only. Down to the end: back again.
      if (scrollY < lastTop) leave();
      else if (beyond() < SLACK_PX) {
        isReading = false;
        following = true;
      }
      lastTop = scrollY;
    },
    { passive: true },
  );
  // The text may grow by more in a frame than the wheel goes up.
  addEventListener("wheel", ({ deltaY }) => deltaY < 0 && leave(), { passive: true });
  element.addEventListener("token", () => {
    if (scheduled) return;
    following ||= !isReading && beyond() < SLACK_PX;
    scheduled = true;
    // Behind the element's own frame, in which the text grows.
    requestAnimationFrame(() => requestAnimationFrame(follow));
  });
  // The next passage is followed where its beginning is in sight.
  element.addEventListener("done", () => (isReading = following = false));
}
