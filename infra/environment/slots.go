package environment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/moby/sys/atomicwriter"

	"bookshelf/infra/observability/stack"
)

// The two slots of an environment. One of them is live; a release fills the other.
const (
	Blue  = "blue"
	Green = "green"
)

// slotNames are the slots in the order in which they are declared.
var slotNames = []string{Blue, Green}

// OtherSlot returns the slot that a release fills while the given one is live.
func OtherSlot(slot string) string {
	if slot == Blue {
		return Green
	}
	return Blue
}

// Slot is what one slot runs. It is kept as it was when the slot was filled: a change of the configuration reaches the service with
// the next release, and never a container that serves.
type Slot struct {
	Image    string `json:"image"`
	Replicas int    `json:"replicas"`
	// App and the rest are the settings of each replica.
	App           Limits            `json:"limits"`
	LogLevel      string            `json:"log_level"`
	ShutdownGrace Duration          `json:"shutdown_grace"`
	Environment   map[string]string `json:"environment,omitempty"`
	// LoginFile says that the service reads its login from a file at every new connection, see Service.
	LoginFile bool `json:"login_file,omitempty"`
	// Watched is how much of it was watched when it was filled.
	Watched stack.Level `json:"watched,omitempty"`
	// Retired says that its containers are stopped and kept for a look. Replicas then counts those that there are.
	Retired bool `json:"retired,omitempty"`
}

// Slots says what the slots run and which one is live. deliver writes it before it changes anything; the program reads it, so that
// neither `pulumi up` nor `deliver up` ever touches what serves.
type Slots struct {
	Live  string          `json:"live"`
	Slots map[string]Slot `json:"slots"`
}

// LiveSlot returns the slot that is live.
func (s Slots) LiveSlot() Slot { return s.Slots[s.Live] }

// With returns the slots with one of them filled anew.
func (s Slots) With(name string, slot Slot) Slots {
	changed := Slots{Live: s.Live, Slots: map[string]Slot{}}
	maps.Copy(changed.Slots, s.Slots)
	changed.Slots[name] = slot
	return changed
}

// Serving returns the slots whose containers should run.
func (s Slots) Serving() map[string]Slot {
	serving := map[string]Slot{}
	for name, slot := range s.Slots {
		if !slot.Retired {
			serving[name] = slot
		}
	}
	return serving
}

// Idle reports whether a slot is one that serves nobody: what is left of it is there for a look, and should not run.
func (s Slots) Idle(name string) bool {
	_, serves := s.Serving()[name]
	return len(s.Slots) > 0 && name != "" && !serves
}

// Without returns the slots with one of them empty.
func (s Slots) Without(name string) Slots {
	changed := s.With(name, Slot{})
	delete(changed.Slots, name)
	return changed
}

// Fill is a slot with an image under the configuration of this moment.
func (c Config) Fill(image string, replicas int) Slot {
	return Slot{
		Image: image, Replicas: replicas,
		App: c.App, LogLevel: c.LogLevel, ShutdownGrace: Duration(c.ShutdownGrace), Environment: c.Service.Environment,
		LoginFile: c.Service.LoginFile,
		Watched:   c.Watching.Level,
	}
}

// FirstSlots is how an environment begins: with its image in one slot.
func (c Config) FirstSlots(image string) Slots {
	return Slots{Live: Blue, Slots: map[string]Slot{Blue: c.Fill(image, c.Replicas)}}
}

// SlotsFile is the file of one environment's slots.
func SlotsFile(state, name string) string { return filepath.Join(state, name, "slots.json") }

// ReadSlots reads the slots of an environment. Where it was never deployed the error is fs.ErrNotExist.
func ReadSlots(state, name string) (Slots, error) {
	path := SlotsFile(state, name)
	content, err := os.ReadFile(path)
	if err != nil {
		return Slots{}, fmt.Errorf("read the slots of %s: %w", name, err)
	}
	var slots Slots
	if err := json.Unmarshal(content, &slots); err != nil {
		return Slots{}, fmt.Errorf("%s: %w", path, err)
	}
	if _, ok := slots.Slots[slots.Live]; !ok {
		return Slots{}, fmt.Errorf("%s: there is no slot %q, which should be live", path, slots.Live)
	}
	return slots, nil
}

// WriteSlots replaces the slots of an environment at once.
func WriteSlots(state, name string, slots Slots) error {
	content, err := json.MarshalIndent(slots, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Join(state, name), 0o700)
	}
	if err == nil {
		err = atomicwriter.WriteFile(SlotsFile(state, name), append(content, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the slots of %s: %w", name, err)
	}
	return nil
}

// ensureSlots returns the slots of an environment; the first time they are made from its configuration and written down.
func ensureSlots(state string, config Config) (Slots, error) {
	slots, err := ReadSlots(state, config.Name)
	if !errors.Is(err, fs.ErrNotExist) {
		return slots, err
	}
	if config.Image == "" {
		return Slots{}, fmt.Errorf("%s:image is not set: want the image to begin with, by digest or by the ID of a local one", Namespace)
	}
	slots = config.FirstSlots(config.Image)
	return slots, WriteSlots(state, config.Name, slots)
}
