"""The heart: appointments, the bookings in them, and the operations that make, move and cancel them.

Never imports sync, notifications, channels, api or admin: it tells the world by recording outbox entries.
"""
