// Follow the event stream from a position on: node examples/follow_stream.mjs --after 41
//
// NATS_URL (with commas between), NATS_USER and NATS_PASSWORD say where. Prints `number id type order` for each event.
// It speaks the text protocol of NATS itself, so that nothing has to be installed; a service of your own would rather
// use the packages @nats-io/transport-node and @nats-io/jetstream.

import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    after: { type: "string", default: "0" },
    subject: { type: "string", default: "orders.>" },
    count: { type: "string", default: "0" },
  },
});
const servers = (process.env.NATS_URL ?? "nats://127.0.0.1:4222").split(",").map((url) => new URL(url));
let last = Number(values.after);
let left = Number(values.count) || Infinity;
let server = 0;

// A consumer that the server forgets with its inbox: after a loss a new one begins behind the last event that was seen.
function follow() {
  const { hostname, port } = servers[server++ % servers.length];
  const socket = connect(Number(port), hostname);
  const inbox = `_INBOX.${randomUUID()}`;
  let waiting = Buffer.alloc(0);
  const send = (text) => socket.write(text);
  const publish = (subject, reply, body) => send(`PUB ${subject} ${reply} ${Buffer.byteLength(body)}\r\n${body}\r\n`);

  socket.on("data", (piece) => {
    waiting = Buffer.concat([waiting, piece]);
    for (let end; (end = waiting.indexOf("\r\n")) >= 0; ) {
      const words = waiting.subarray(0, end).toString().split(" ");
      const size = ["MSG", "HMSG"].includes(words[0]) ? Number(words.at(-1)) : -2;
      if (waiting.length < end + 4 + size) return;
      const body = waiting.subarray(end + 2, end + 2 + Math.max(0, size));
      waiting = waiting.subarray(end + 4 + size);
      take(words, body);
    }
  });
  socket.on("error", () => {});
  socket.on("close", () => left > 0 && setTimeout(follow, 500));

  function take([verb, subject, , ...rest], body) {
    if (verb === "INFO") begin();
    else if (verb === "PING") send("PONG\r\n");
    else if (verb === "-ERR") console.error([subject, ...rest].join(" "));
    else if (verb === "MSG" && subject === `${inbox}.made`) made(JSON.parse(body));
    else if (verb === "HMSG") show(rest, body.subarray(Number(rest.at(-2))));
    else if (verb === "MSG") show(rest, body);
  }

  function begin() {
    const login = { user: process.env.NATS_USER, pass: process.env.NATS_PASSWORD };
    send(`CONNECT ${JSON.stringify({ verbose: false, pedantic: false, headers: true, lang: "node", version: "1", ...login })}\r\n`);
    send(`SUB ${inbox}.made 1\r\nSUB ${inbox}.events 2\r\n`);
    const config = {
      deliver_subject: `${inbox}.events`,
      deliver_policy: "by_start_sequence",
      opt_start_seq: last + 1,
      ack_policy: "none",
      filter_subject: values.subject,
      inactive_threshold: 30e9,
    };
    publish(`$JS.API.CONSUMER.CREATE.ORDERS`, `${inbox}.made`, JSON.stringify({ stream_name: "ORDERS", config }));
  }

  function made({ error }) {
    if (!error) return;
    console.error(error.description);
    socket.destroy();
  }

  function show(rest, body) {
    // $JS.ACK.<stream>.<consumer>.<delivered>.<number in the stream>.…
    const number = Number(rest[0].split(".")[5]);
    if (number <= last || left <= 0) return;
    last = number;
    const event = JSON.parse(body);
    console.log(number, event.id, event.type, event.data.orderNumber);
    if (--left === 0) socket.destroy();
  }
}

follow();
