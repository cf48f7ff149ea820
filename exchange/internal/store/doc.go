// Package store keeps what the replicas of a service must agree on: how often a
// token was used, which sessions have ended, and who asks too often.
//
// There are two stores: Memory, for one replica, and Redis. Counts of uses and
// marks of ended sessions are never forgotten before their time, because that
// would let a token in again; a store without room for one more says ErrFull.
// Rates are another matter, see Store.Allow. It is the only package that
// imports go-redis.
package store
