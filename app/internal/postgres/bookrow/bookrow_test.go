package bookrow

import (
	"encoding/binary"
	"testing"
)

// A row that was cut off or is of a form that the schema does not allow must be an error, and never a panic.
func TestBytesThatAreNoBookAreAnError(t *testing.T) {
	t.Parallel()
	eight := make([]byte, 8)
	authors := binary.BigEndian.AppendUint32(nil, 1)
	for _, n := range []uint32{0, 25, 2, 1, 1, 'a' << 24} { // flags, type, length, bound; the first has a length of 1
		authors = binary.BigEndian.AppendUint32(authors, n)
	}
	authors = append(authors[:25], 0, 0, 0, 2, 'b', 'c')
	row := func() [][]byte {
		return [][]byte{eight, []byte("t"), authors, nil, {0, 7}, nil, {}, eight, eight, eight}
	}
	b, err := decodeBook(row())
	if err != nil || len(b.Authors) != 2 || b.Authors[0] != "a" || b.Authors[1] != "bc" || *b.PublishedYear != 7 {
		t.Fatalf("decodeBook = %+v, %v", b, err)
	}
	for _, column := range []int{0, 2, 4, 7, 8, 9} {
		whole := row()[column]
		for n := range whole {
			cut := row()
			cut[column] = whole[:n:n]
			if _, err := decodeBook(cut); err == nil {
				t.Errorf("column %d, cut to %d bytes, is read without an error", column, n)
			}
		}
	}
	null := row()
	null[2] = append(append([]byte{}, authors[:20]...), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)
	if _, err := decodeBook(null); err == nil {
		t.Error("an author that is NULL is read without an error")
	}
	many := row()
	many[2] = append([]byte{}, authors...)
	many[2][12] = 0x7f
	if _, err := decodeBook(many); err == nil {
		t.Error("an array that says it has two thousand million elements is read without an error")
	}
	endless := row()
	endless[8] = []byte{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	if _, err := decodeBook(endless); err == nil {
		t.Error("an infinite time is read without an error")
	}
}
