/**
 * `<kju-screen src="https://HOST:PORT/m/NAME" token="KEY">`: a machine in a page of another server.
 *
 * The element makes an iframe; the key is in the fragment of its address, which is sent to no
 * server, and stays in the iframe's memory. `kju web --embed ORIGIN` allows the page.
 */
class KjuScreen extends HTMLElement {
  static readonly observedAttributes = ["src", "token"];

  connectedCallback(): void {
    this.update();
  }

  attributeChangedCallback(): void {
    if (this.isConnected) this.update();
  }

  private update(): void {
    const frame = document.createElement("iframe");
    frame.src = `${this.getAttribute("src") ?? ""}#${this.getAttribute("token") ?? ""}`;
    frame.title = this.getAttribute("title") ?? "kju";
    frame.allow = "fullscreen; clipboard-read; keyboard-map";
    frame.style.border = "0";
    frame.style.width = "100%";
    frame.style.height = "100%";
    this.replaceChildren(frame);
  }
}

customElements.define("kju-screen", KjuScreen);
