package delivery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bookshelf/infra/environment"
	"bookshelf/infra/runtime"
)

// readSlots reads what the slots run; none where the environment was never deployed from here.
func (s *session) readSlots() (deployed bool, err error) {
	s.slots, err = environment.ReadSlots(s.Layout.State, s.name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Slots implements target.Stack.
func (s *session) Slots() environment.Slots { return s.slots }

// WriteSlots implements target.Stack.
func (s *session) WriteSlots(slots environment.Slots) error {
	if err := environment.WriteSlots(s.Layout.State, s.name, slots); err != nil {
		return err
	}
	s.slots = slots
	return nil
}

// chooseSlots makes sure that it is known what the slots run. An environment that serves keeps its image: traffic goes to another one
// by a release alone. Before any deployment from here has succeeded, the image that is named now takes the place of the former.
func (s *session) chooseSlots(ctx context.Context, image string) error {
	deployed, err := s.readSlots()
	if err != nil {
		return err
	}
	kept := deployed && image == ""
	switch {
	case kept:
		image = s.slots.LiveSlot().Image
	case image == "":
		image = s.settings["image"]
	}
	if image == "" {
		return &UsageError{Problem: fmt.Sprintf("%s was never deployed from here, so there is no image to keep: name one with --image, or run `make up`", s.name)}
	}
	chosen, err := s.chooseImage(ctx, image, kept)
	if err != nil {
		return err
	}
	switch live := s.slots.LiveSlot().Image; {
	case deployed && chosen == live:
		return nil
	case deployed && s.everGood():
		return &OtherImageError{Environment: s.name, Live: live, Image: image}
	default:
		s.slots, s.settings["image"] = s.config.FirstSlots(chosen), chosen
		return nil
	}
}

// OtherImageError says that an environment serves with another image than the one that was named.
type OtherImageError struct{ Environment, Live, Image string }

func (e *OtherImageError) Error() string {
	return fmt.Sprintf("%s serves with %s; another image takes a release: deliver release -e %s --image %s", e.Environment, e.Live, e.Environment, e.Image)
}

// chooseImage turns the reference of the app's image into what the engine runs: the ID of a local image, or a digest that it will pull.
// A tag alone would mean something else tomorrow. Where the environment has a policy, the image is verified and stays a digest.
func (s *session) chooseImage(ctx context.Context, image string, kept bool) (string, error) {
	admitted, err := s.admit(ctx, image, kept)
	if err != nil || admitted {
		return image, err
	}
	return s.resolve(ctx, image, "make image")
}

// chooseSupport does the same for the images of the database and of the edge. Where the configuration names none, it is the one that
// was built from this clone.
func (s *session) chooseSupport(ctx context.Context) error {
	for _, image := range []struct{ key, of, file, command string }{
		{"databaseImage", "the database", "postgres-image-id", "make postgres-image"},
		{"edgeImage", "the edge", "edge-image-id", "make edge-image"},
	} {
		reference := s.settings[image.key]
		if reference == "" {
			content, err := os.ReadFile(filepath.Join(s.Layout.Tools, image.file))
			if err != nil {
				return &UsageError{Problem: fmt.Sprintf("there is no image of %s: run `%s`, or set %s:%s", image.of, image.command, environment.Namespace, image.key)}
			}
			reference = strings.TrimSpace(string(content))
		}
		var err error
		if s.settings[image.key], err = s.resolve(ctx, reference, image.command); err != nil {
			return err
		}
	}
	return nil
}

// resolve returns what the engine runs under a reference; command is what builds such an image.
func (s *session) resolve(ctx context.Context, reference, command string) (string, error) {
	id, err := s.Platform.ImageID(ctx, reference)
	switch {
	case err == nil:
		return id, nil
	case errors.Is(err, runtime.ErrNotFound) && strings.Contains(reference, "@sha256:"):
		return reference, nil
	case errors.Is(err, runtime.ErrNotFound):
		return "", &UsageError{Problem: fmt.Sprintf("image %s is not on the Docker engine: build it (`%s`), or name one in a registry by its digest", reference, command)}
	default:
		return "", err
	}
}
