"""The processes that train: a relaying Ray actor, the child that trains, the server it is forked from."""
