// Repeat while the page is visible; the next poll starts only after the last has returned.
export function poll(pause, work) {
  const again = async () => {
    if (!document.hidden) await work().catch(() => {});
    setTimeout(again, pause);
  };
  again();
}
