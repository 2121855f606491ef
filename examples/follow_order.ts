// Follow an order live: node examples/follow_order.ts 279
//
// Reads API_URL and API_TOKEN, and LIVE_URL if the sockets are elsewhere. Prints `sequence event status progress` for each
// event until the order is confirmed or ends. Needs Node 22.18 (older: compile it), and nothing else.

const api = process.env.API_URL ?? "http://localhost:8000";
const live = process.env.LIVE_URL ?? api.replace("http", "ws");
const token = process.env.API_TOKEN;
const LAST = ["Confirmed", "Completed", "Cancelled", "Rejected"];

type Message = { sequence: number; event: string; status?: string; progress: number };

async function ticketOf(order: string): Promise<string> {
  const response = await fetch(`${api}/api/orders/${order}/ticket`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) },
    body: "{}",
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${response.status} ${answer.error.code}: ${answer.error.message}`);
  return answer.ticket;
}

const [order] = process.argv.slice(2);
let last = 0; // the last event seen: none is missed over a lost connection, and none comes twice
let status = "";

async function follow(): Promise<void> {
  const socket = new WebSocket(`${live}/ws/orders/${order}?ticket=${await ticketOf(order)}&after=${last}`);
  socket.onmessage = ({ data }) => {
    const message: Message = JSON.parse(data);
    last = message.sequence;
    status = message.status ?? status;
    console.log(last, message.event, status, message.progress);
    if (LAST.includes(status)) socket.close();
  };
  socket.onclose = () => {
    if (!LAST.includes(status)) setTimeout(follow, 1000);
  };
}

await follow();
export {};
