package environment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/moby/sys/atomicwriter"
)

// firstData is the last part of the name of the volume that an environment begins with.
const firstData = "postgres-data"

// Data says which volume holds the database, and which ones did before. A restore makes a new one and changes this, and nothing else:
// what was there stays until somebody says that it is to be forgotten.
type Data struct {
	// Volume is the last part of the current volume's name.
	Volume string `json:"volume"`
	// Former are those that were left by restores, the oldest first. Forgotten are those to be removed, as soon as the stack is without them.
	Former    []string `json:"former,omitempty"`
	Forgotten []string `json:"forgotten,omitempty"`
}

// RestoredVolume is what a restore calls its volume.
func RestoredVolume(id string) string { return firstData + "-" + id }

// Replaced returns the data with another volume in the place of the current one, which is kept.
func (d Data) Replaced(volume string) Data {
	return Data{Volume: volume, Former: append(slices.Clone(d.Former), d.Volume), Forgotten: d.Forgotten}
}

// WithoutFormer returns the data with all former volumes to be removed.
func (d Data) WithoutFormer() Data {
	return Data{Volume: d.Volume, Forgotten: append(slices.Clone(d.Forgotten), d.Former...)}
}

// Volumes are the volumes that the stack holds.
func (d Data) Volumes() []string { return append([]string{d.Volume}, d.Former...) }

func dataFile(state, name string) string { return filepath.Join(state, name, "data.json") }

// ReadData reads which volumes hold the data of an environment. One that was never restored has none but the first.
func ReadData(state, name string) (Data, error) {
	path := dataFile(state, name)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Data{Volume: firstData}, nil
	}
	var d Data
	if err == nil {
		err = json.Unmarshal(content, &d)
	}
	if err == nil && d.Volume == "" {
		err = errors.New("it names no volume")
	}
	if err != nil {
		return Data{}, fmt.Errorf("read which volume holds the data: %s: %w", path, err)
	}
	return d, nil
}

// WriteData replaces what is known of the volumes at once.
func WriteData(state, name string, d Data) error {
	content, err := json.MarshalIndent(d, "", "  ")
	if err == nil {
		err = atomicwriter.WriteFile(dataFile(state, name), append(content, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write which volume holds the data: %w", err)
	}
	return nil
}
