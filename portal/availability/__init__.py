"""When can it be booked? The one engine that answers, for the page and again under the lock.

This folder is plain values in, plain values out. It opens no connection, reads no clock, no setting and no request, and
keeps nothing between two calls but the remembered answers of pure functions. What it needs to know stands in a
`Demand`, which `portal/booking/time/queries.py` builds; what the time is, it is told as `now`. So every rule about free time
can be read, and tested, without a database or a server, and there is no second opinion on what is free.

`model`      the values that go in and come out
`hours`      weekly hours and date overrides become UTC: the only place where wall-clock time exists
`resources`  the time of one resource, and which resources fit together
`slots`      offer_slots and is_offered
`explain`    why an instant is not offered
"""
