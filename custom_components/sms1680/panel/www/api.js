// The commands of the integration over Home Assistant's websocket.
import { debounced } from "./dom.js";

export class Api {
  constructor(hass) {
    this.hass = hass;
  }

  ask(command, data = {}) {
    return this.hass.connection.sendMessagePromise({ type: `sms1680/${command}`, ...data });
  }

  // Call back soon after a change, and after a reconnection. Return a function that ends it.
  async watch(onChange) {
    const soon = debounced(onChange, 100);
    const { connection } = this.hass;
    connection.addEventListener("ready", soon);
    const end = await connection.subscribeMessage((event) => soon(event.conversation), { type: "sms1680/subscribe" });
    return () => {
      connection.removeEventListener("ready", soon);
      end().catch(() => undefined); // the connection is closed
    };
  }

  // Return the sentence of an error, in the user's language if Home Assistant has it.
  async explain(error) {
    if (error?.translation_key) {
      await this.hass.loadBackendTranslation?.("exceptions", "sms1680");
      const key = `component.${error.translation_domain}.exceptions.${error.translation_key}.message`;
      const sentence = this.hass.localize?.(key, error.translation_placeholders ?? undefined);
      if (sentence) return sentence;
    }
    return error?.message ?? String(error);
  }
}
