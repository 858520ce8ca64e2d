// Package conformance tests what this repository delivers from the outside: the image as an engine runs it, and the stacks
// as a person starts them. It imports nothing of the service, so the same tests hold whatever runs it.
//
// The tests need a container engine, the image in BOOKSHELF_IMAGE (its ID or name) and the postgres image. Without them
// they skip, and fail where REQUIRE_SERVICES=1. `make test` sets all of it.
package conformance
