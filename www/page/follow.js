// Keeps the end of a growing text in view, until the visitor scrolls away from it.

/** How far below the window's edge the element's end may be and still count as in view. */
const SLACK_PX = 60;

/** @param {import("../tokenformer.js").TokenFormerElement} element */
export function followText(element) {
  let following = false;
  /** The visitor scrolled up to read: only scrolling back resumes following. */
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
      // Any scroll up is the visitor's: this page itself scrolls down only. Scrolling down to the end resumes.
      if (scrollY < lastTop) leave();
      else if (beyond() < SLACK_PX) {
        isReading = false;
        following = true;
      }
      lastTop = scrollY;
    },
    { passive: true },
  );
  // In one frame the text may grow by more than the wheel scrolls up.
  addEventListener("wheel", ({ deltaY }) => deltaY < 0 && leave(), { passive: true });
  element.addEventListener("token", () => {
    if (scheduled) return;
    following ||= !isReading && beyond() < SLACK_PX;
    scheduled = true;
    // After the element's own frame, in which the text grows.
    requestAnimationFrame(() => requestAnimationFrame(follow));
  });
  // The next passage is followed if its start is in view.
  element.addEventListener("done", () => (isReading = following = false));
}
