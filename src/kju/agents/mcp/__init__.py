"""The MCP server of `kju mcp`: tools on machines, for models."""
