// The commands of the integration over Home Assistant's websocket.
import { debounced } from "./dom.js";
import { translate } from "./texts.js";

const CONNECTION_LOST = 3; // the code of the error that the frontend's own connection makes
const RETRY = 5000; // milliseconds

export class Api {
  constructor(hass) {
    this.hass = hass;
  }

  ask(command, data = {}) {
    return this.hass.connection.sendMessagePromise({ type: `sms1680/${command}`, ...data });
  }

  // Call back soon after changes, and after a reconnection. Return a function that ends it. A Home Assistant that is
  // starting accepts connections before it has loaded the integration, so the subscription is tried until it succeeds.
  // The callback gets the set of changed conversations, with null for anything else, and whether alarms changed.
  watch(onChange) {
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
    let current = 0;
    let end;
    let timer;
    const subscribe = async (isFirst) => {
      current += 1;
      const mine = current;
      end = undefined;
      clearTimeout(timer);
      try {
        const unsubscribe = await connection.subscribeMessage(note, { type: "sms1680/subscribe" }, { resubscribe: false });
        if (mine === current) end = unsubscribe;
        else unsubscribe().catch(() => undefined);
        if (mine === current && isFirst !== true) renew();
      } catch {
        if (mine === current) timer = setTimeout(subscribe, RETRY);
      }
    };
    connection.addEventListener("ready", subscribe);
    subscribe(true);
    return () => {
      current += 1;
      clearTimeout(timer);
      connection.removeEventListener("ready", subscribe);
      end?.().catch(() => undefined); // the connection is closed
    };
  }

  // Return the sentence of an error, in the user's language if Home Assistant has it.
  async explain(error) {
    if ((error?.error?.code ?? error) === CONNECTION_LOST) return translate(this.hass, "connection_lost");
    if (error?.translation_key) {
      await this.hass.loadBackendTranslation?.("exceptions", "sms1680").catch(() => undefined);
      const key = `component.${error.translation_domain}.exceptions.${error.translation_key}.message`;
      const sentence = this.hass.localize?.(key, error.translation_placeholders ?? undefined);
      if (sentence) return sentence;
    }
    return error?.message ?? String(error);
  }
}
