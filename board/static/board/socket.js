// A WebSocket that reconnects, and resumes where it left off.

const SILENCE = 12_000; // ping after this long without a message …
const PONG_TIMEOUT = 8_000; // … and reconnect if nothing comes back
export const LONGEST_PAUSE = 15_000;
const RESUME = 4413; // the server sends a backlog in pieces: reconnect at once
const LOG_IN = 4401;
const NOT_FOUND = 4404;
const BAD_POSITION = 4400;

export class LiveSocket {
  // `address()` returns where to resume; `onMessage` gets raw frames; `onState` the state of the connection;
  // `onBadPosition` starts over when the server refuses the position.
  constructor({ address, onMessage, onState, onBadPosition }) {
    Object.assign(this, { address, onMessage, onState, onBadPosition });
    this.failures = 0;
    this.lastMessageAt = 0;
    setInterval(() => this.checkAlive(), 2000);
    addEventListener("online", () => this.reconnectNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.reconnectNow());
  }

  open() {
    clearTimeout(this.timer);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${this.address()}`);
    this.socket = socket;
    this.lastMessageAt = performance.now();
    socket.onopen = () => {
      this.lastMessageAt = performance.now();
      this.lostAt = null;
      this.onState({ state: "live" });
    };
    socket.onmessage = (event) => {
      this.lastMessageAt = performance.now();
      this.failures = 0;
      this.pingedAt = null;
      if (event.data !== '[{"type":"Pong"}]' && event.data !== '{"type":"Pong"}') this.onMessage(event.data);
    };
    socket.onclose = (event) => socket === this.socket && this.reconnect(event.code);
  }

  // Close without reconnecting.
  drop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  reconnect(code) {
    this.socket = null;
    this.lostAt ??= Date.now();
    if (code === LOG_IN || code === NOT_FOUND) {
      this.onState({ state: code === LOG_IN ? "login" : "gone" });
      return;
    }
    this.failures += 1;
    const pause = code === RESUME ? 0 : Math.min(LONGEST_PAUSE, 400 * 2 ** this.failures) * (0.5 + Math.random() / 2);
    this.onState({ state: "lost", since: this.lostAt, retryAt: Date.now() + pause });
    this.timer = setTimeout(() => (code === BAD_POSITION ? this.onBadPosition() : this.open()), pause);
  }

  reconnectNow() {
    if (this.lostAt && !this.socket) this.open();
  }

  // A browser does not notice a pulled cable: a dead connection looks open.
  checkAlive() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const silence = performance.now() - this.lastMessageAt;
    if (this.pingedAt && performance.now() - this.pingedAt > PONG_TIMEOUT) {
      const dead = this.socket;
      this.pingedAt = null;
      dead.onclose = null;
      dead.close();
      this.reconnect(0);
    } else if (!this.pingedAt && silence > SILENCE) {
      this.pingedAt = performance.now();
      this.socket.send('{"type":"Ping"}');
    }
  }
}
