// Quote and place an order: node examples/create_order.ts TEE-1 2
//
// Reads API_URL and API_TOKEN. Needs Node 22.18 (older: compile it), and nothing else. Prints `number status total currency`.

import { randomUUID } from "node:crypto";

const api = process.env.API_URL ?? "http://localhost:8000";
const token = process.env.API_TOKEN;

type Order = { customerName: string; items: { sku: string; quantity: number }[]; expectedTotal?: number };
type Quote = { totalAmount: number };
type Placed = { orderNumber: string; status: string; estimatedTotalAmount: number; currency: string };

async function post<T>(path: string, body: Order, headers: Record<string, string> = {}): Promise<T> {
  const response = await fetch(api + path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }), ...headers },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${response.status} ${answer.error.code}: ${answer.error.message}`);
  return answer;
}

const [sku, quantity] = process.argv.slice(2);
const order: Order = { customerName: "Jane Doe", items: [{ sku, quantity: Number(quantity) }] };
const quote = await post<Quote>("/api/orders/quote", order);
order.expectedTotal = quote.totalAmount;
const placed = await post<Placed>("/api/orders", order, { "Idempotency-Key": randomUUID() });
console.log(placed.orderNumber, placed.status, placed.estimatedTotalAmount, placed.currency);
