"""The whole system as its users meet it: started by its own launcher, with every process it has."""
