{
  // A click on a photo, or Enter, enlarges it; Escape closes it, arrows go on.
  const dialog = document.getElementById("enlarged"), photos = [...document.querySelectorAll("button.frame")];
  let at = 0;
  const enlarge = number => {
    at = (number + photos.length) % photos.length;
    const frame = dialog.querySelector(".frame"), caption = photos[at].closest("figure").querySelector("figcaption");
    frame.style.cssText = photos[at].style.cssText;
    frame.replaceChildren(...[...photos[at].children].map(each => each.cloneNode()));
    document.getElementById("enlarged-caption").replaceChildren(...[...caption.childNodes].map(each => each.cloneNode(true)));
    if (!dialog.open) dialog.showModal();
  };
  photos.forEach((photo, number) => photo.addEventListener("click", () => enlarge(number)));
  dialog.querySelectorAll("[data-step]").forEach(each => each.addEventListener("click", () => enlarge(at + Number(each.dataset.step))));
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", event => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (step) enlarge(at + step);
  });
  dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => photos[at].focus());
}
