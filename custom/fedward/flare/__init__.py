"""The only folder that imports nvflare: thin adapters around the rest."""
