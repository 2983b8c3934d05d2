"""What programs use to look at surfaces and machines: threads and asyncio over one core."""
