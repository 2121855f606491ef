"""The live side: WebSockets that follow the journal and miss nothing."""
