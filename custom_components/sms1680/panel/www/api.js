// The commands of the integration over Home Assistant's websocket.
import { debounced } from "./dom.js";

export class Api {
  constructor(hass) {
    this.hass = hass;
  }

  ask(command, data = {}) {
    return this.hass.connection.sendMessagePromise({ type: `sms1680/${command}`, ...data });
  }

  // Call back soon after changes, and after a reconnection. Return a function that ends it.
  // The callback gets the set of changed conversations, with null for anything else, and whether alarms changed.
  async watch(onChange) {
    let conversations = new Set();
    let alarms = false;
    const soon = debounced(() => {
      const changed = [conversations, alarms];
      [conversations, alarms] = [new Set(), false];
      onChange(...changed);
    }, 100);
    const note = (event) => {
      if (event.alarms) alarms = true;
      else conversations.add(event.conversation);
      soon();
    };
    const renew = () => {
      alarms = true;
      conversations.add(null);
      soon();
    };
    const { connection } = this.hass;
    connection.addEventListener("ready", renew);
    const end = await connection.subscribeMessage(note, { type: "sms1680/subscribe" });
    return () => {
      connection.removeEventListener("ready", renew);
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
