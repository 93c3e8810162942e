"""Is this process's clock right? The judge, and what is heard from outside."""
