// Pictures that come from elsewhere on the reader's machine.

/** Pictures that are dropped or pasted anywhere on the view go to `by`, until what is returned is called. */
export function catchPictures(root, by) {
  const over = (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    root.classList.add("dropping");
  };
  const away = (event) => { if (!event.relatedTarget) root.classList.remove("dropping"); };
  const drop = (event) => {
    root.classList.remove("dropping");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    by(event.dataTransfer.files[0]);
  };
  const paste = (event) => {
    const file = [...event.clipboardData.files][0];
    if (!file) return;
    event.preventDefault();
    by(file);
  };
  const all = { dragover: over, dragleave: away, drop, paste };
  for (const [name, listener] of Object.entries(all)) addEventListener(name, listener);
  return () => { for (const [name, listener] of Object.entries(all)) removeEventListener(name, listener); };
}
