"""What tests share: the backing servers, tokens, clients, hand-delivered events. Never imported by production code."""
