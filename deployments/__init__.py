"""Where matlift does it: deployments, the local stack, and the containers for other places."""
