/** Asks the browser to keep the site for visits without a network. Insecure origins and development do without. */
export function registerOffline(): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  navigator.serviceWorker.register(new URL("sw.js", document.baseURI)).catch((error: unknown) => {
    // The page works all the same; whoever looks for the reason finds it here.
    document.documentElement.dataset.offline = String(error);
  });
}
