"""The API toolkit that every app uses: problems, requests, answers, pages, throttling, idempotency, schema."""
