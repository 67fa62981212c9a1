// Opens the side panel, where the engine runs: a service worker is ended when it has been idle for half a minute.

const MENU = "continue";

chrome.runtime.onInstalled.addListener(() => {
  chrome.contextMenus.create({ id: MENU, title: "Continue this with TokenFormer", contexts: ["selection"] });
  chrome.sidePanel.setPanelBehavior({ openPanelOnActionClick: true });
});

chrome.contextMenus.onClicked.addListener(({ menuItemId, selectionText }, tab) => {
  if (menuItemId !== MENU || !tab) return;
  // First the panel, which only opens in answer to a click; it reads the text whenever that comes.
  chrome.sidePanel.open({ windowId: tab.windowId });
  chrome.storage.session.set({ beginning: selectionText });
});
