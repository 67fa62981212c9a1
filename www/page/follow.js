// Keeps the end of a growing text in sight, until the visitor scrolls away from it.

/** How far below the window's edge the element's end may be and still be "in sight". */
const SLACK_PX = 60;

export function followText(element) {
  let following = false;
  let scheduled = false;
  const beyond = () => element.getBoundingClientRect().bottom - innerHeight;

  function follow() {
    scheduled = false;
    const distance = beyond();
    if (following && distance > 0) scrollBy({ top: distance, behavior: "instant" });
  }
  // Whoever scrolls up wants to read; whoever comes back wants to follow.
  addEventListener("scroll", () => (following = beyond() < SLACK_PX), { passive: true });
  element.addEventListener("token", () => {
    if (scheduled) return;
    following ||= beyond() < SLACK_PX;
    scheduled = true;
    // Behind the element's own frame, in which the text grows.
    requestAnimationFrame(() => requestAnimationFrame(follow));
  });
}
