// How a thread goes over its vec4s of a row of logits: AT_ONCE per trip. With `four`, for GPUs, all loads of a trip come
// before the first use, so that they are under way together; past the end the last vec4 is read again, not none, since a
// branch around a load keeps it waiting for the one before. Software devices have a load as soon as they ask for it, and
// every line and loop costs them time.

@if(four) const AT_ONCE = 4u;
@else const AT_ONCE = 1u;

// The vec4s of one trip of four.
struct Trip {
  a: vec4u,
  b: vec4u,
  c: vec4u,
  d: vec4u,
}

// The trip with its next vec4 in `a`: a loop over a trip has one body, and indexes nothing.
fn advanced(trip: Trip) -> Trip {
  return Trip(trip.b, trip.c, trip.d, trip.d);
}
