"""A customer of the sandbox's payment provider, as plain as can be."""

import uuid
from typing import Any

import requests


class Customer:
    """One reference's calls, each under a key of its own unless one is given."""

    def __init__(self, url: str) -> None:
        self.payments = f"{url}/payments"
        self.reference = str(uuid.uuid4())

    def post(self, path: str, key: str = "", **body: Any) -> requests.Response:
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return requests.post(f"{self.payments}{path}", json=body, headers=headers, timeout=5)

    def authorize(self, amount: str = "20.00", token: str = "tok_visa", key: str = "") -> requests.Response:
        body = {"reference": self.reference, "amount": amount, "currency": "USD", "token": token}
        return self.post("/authorizations", key, **body)

    def capture(self, authorization: str, amount: str = "20.00", key: str = "") -> requests.Response:
        body = {"reference": self.reference, "amount": amount, "currency": "USD"}
        return self.post("/captures", key, authorization=authorization, **body)

    def void(self, authorization: str, key: str = "") -> requests.Response:
        return self.post("/voids", key, authorization=authorization, reference=self.reference)

    def refund(self, capture: str, amount: str = "20.00", key: str = "") -> requests.Response:
        body = {"reference": self.reference, "amount": amount, "currency": "USD"}
        return self.post("/refunds", key, capture=capture, **body)

    def find(self, key: str) -> requests.Response:
        return requests.get(f"{self.payments}/operations/{key}", timeout=5)


def error_code(response: requests.Response) -> str:
    return response.json()["error"]["code"]
