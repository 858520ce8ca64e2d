package book

import (
	"errors"
	"slices"
)

// ErrStale says that the stored book does not have a version that the request's Condition allows. Nothing was changed.
var ErrStale = errors.New("the stored book has another version")

// Condition says which versions of a stored book a request is meant for: the If-Match and If-None-Match of RFC 9110,
// section 13.1, in terms of Book.Version. The zero value allows every version.
type Condition struct {
	Match     *Versions // must contain the stored version; nil asks for nothing
	NoneMatch *Versions // must not contain the stored version; nil asks for nothing
}

// Versions is a set of versions: all that there can be, or those listed.
type Versions struct {
	All  bool
	List []int64
}

// Contain reports whether version is one of v.
func (v Versions) Contain(version int64) bool { return v.All || slices.Contains(v.List, version) }

// Allows reports whether the condition holds for a stored book of that version.
func (c Condition) Allows(version int64) bool {
	return (c.Match == nil || c.Match.Contain(version)) && (c.NoneMatch == nil || !c.NoneMatch.Contain(version))
}
