// Compiled with the types that openapi-typescript makes: each line under an @ts-expect-error has to be refused.
import type { components } from "./api";
type New = components["schemas"]["NewOrderRequest"];
export const good: New[] = [
  { customerName: "x", items: [{ sku: "A", quantity: 1 }] },
  { customerId: "7", items: [{ productId: 1, quantity: 1, price: 2.5 }], payment: {}, currency: "USD" },
  { customerId: 7, items: [{ productName: "B", quantity: 1 }], shippingAddress: { country: "DE" }, hold: true, expectedTotal: 3 },
  {
    customerName: "x",
    items: [{ sku: "A", quantity: 1 }],
    adjustments: [{ kind: "tax", code: "VAT", amount: 2.5 }, { kind: "discount", code: "WELCOME5", amount: -5 }],
  },
];
// @ts-expect-error items are missing
export const a: New = { customerName: "x" };
// @ts-expect-error a name is text
export const b: New = { customerName: 5, items: [{ sku: "A", quantity: 1 }] };
// @ts-expect-error the quantity is missing
export const c: New = { customerName: "x", items: [{ sku: "A" }] };
// @ts-expect-error the product is missing
export const d: New = { customerName: "x", items: [{ quantity: 1 }] };
// @ts-expect-error the customer is missing
export const e: New = { items: [{ sku: "A", quantity: 1 }] };
// @ts-expect-error there is no such kind
export const g: New = { customerName: "x", items: [{ sku: "A", quantity: 1 }], adjustments: [{ kind: "toll", code: "T", amount: 1 }] };
// @ts-expect-error there is no such field
export const f: New = { customerName: "x", items: [{ sku: "A", quantity: 1 }], status: "Completed" };
