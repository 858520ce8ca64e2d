package httpapi

import (
	"maps"
	"net/http"
	"strconv"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/httpapi/bookjson"
	"bookshelf/app/internal/httpapi/etag"
	"bookshelf/app/internal/httpapi/exchange"
	"bookshelf/app/internal/httpapi/media"
	"bookshelf/app/internal/httpapi/problem"
	"bookshelf/app/internal/httpapi/query"
	"bookshelf/app/internal/idempotency"
	"bookshelf/app/internal/readcache"
)

// handleBookList answers 200 with a page, or 304, 400, 406, 412, 503.
func (a *API) handleBookList() http.Handler {
	return exchange.Handle(func(w http.ResponseWriter, r *http.Request) error {
		if err := media.RequireAcceptable(r); err != nil {
			return err
		}
		asked, err := query.List(r.URL.RawQuery)
		if err != nil {
			return err
		}
		books, next, err := a.Store.List(r.Context(), asked)
		if err != nil {
			return err
		}
		var cursor string
		if next != nil {
			cursor = query.Cursor(asked, *next)
			w.Header().Set("Link", query.NextLink(r.URL, cursor))
		}
		body := bookjson.EncodePage(books, cursor)
		return writeRead(w, r, body, etag.OfContent(body))
	})
}

// handleBookCreate answers 201 with the book and its Location, or 400, 406, 408, 409, 413, 415, 422, 503. With an
// Idempotency-Key, a request that comes again is answered as the first time.
func (a *API) handleBookCreate() http.Handler {
	return exchange.Handle(func(w http.ResponseWriter, r *http.Request) error {
		if err := query.Refuse(r.URL.RawQuery); err != nil {
			return err
		}
		keys := r.Header.Values(idempotency.Header)
		if len(keys) > 0 {
			return a.createOnce(w, r, keys)
		}
		draft, _, err := a.readDraft(w, r)
		if err != nil {
			return err
		}
		created, err := a.Store.Create(r.Context(), draft)
		if err != nil {
			return err
		}
		answer, err := createdResponse(created)
		if err != nil {
			return err
		}
		return writeResponse(w, answer)
	})
}

// createOnce creates a book, or finds that a request with the key has done so.
func (a *API) createOnce(w http.ResponseWriter, r *http.Request, keys []string) error {
	key, err := idempotency.Parse(keys)
	if err != nil {
		return problem.OfHeader(idempotency.Header, err.Error())
	}
	draft, body, err := a.readDraft(w, r)
	if err != nil {
		return err
	}
	answer, replayed, err := a.Store.CreateOnce(r.Context(), draft, idempotency.Request{
		Scope:       book.ActorFrom(r.Context(), book.Anonymous).TokenID,
		Key:         key,
		Fingerprint: idempotency.Fingerprint(body),
		Retention:   a.Retention,
	}, createdResponse)
	if err != nil {
		a.Metrics.KeyUsed("failed")
		return err
	}
	if replayed {
		a.Metrics.KeyUsed("replayed")
		w.Header().Set("Idempotency-Replayed", "true")
	} else {
		a.Metrics.KeyUsed("created")
	}
	return writeResponse(w, answer)
}

// createdResponse is the answer to a request that has created b.
func createdResponse(b book.Book) (idempotency.Response, error) {
	return idempotency.Response{
		Status: http.StatusCreated,
		Header: http.Header{
			"Content-Type": {media.JSON},
			"Etag":         {etag.OfVersion(b.Version).String()},
			"Location":     {locationOf(b)},
		},
		Body: bookjson.Encode(b),
	}, nil
}

// writeResponse sends a response as it was put together, now or then.
func writeResponse(w http.ResponseWriter, answer idempotency.Response) error {
	if err := exchange.Hold(w, answer.Body); err != nil {
		return err
	}
	maps.Copy(w.Header(), answer.Header)
	exchange.Send(w, answer.Status, answer.Header.Get("Content-Type"), answer.Body)
	return nil
}

// handleBookGet answers 200 with the book, or 304, 400, 404, 406, 412, 503.
func (a *API) handleBookGet() http.Handler {
	return exchange.Handle(func(w http.ResponseWriter, r *http.Request) error {
		id, err := readTarget(r)
		if err != nil {
			return err
		}
		if err := media.RequireAcceptable(r); err != nil {
			return err
		}
		answer, err := a.Cache.Answer(id, func() (readcache.Answer, error) {
			found, err := a.Store.Get(r.Context(), id)
			if err != nil {
				return readcache.Answer{}, err
			}
			return readcache.Answer{Body: bookjson.Encode(found), Version: found.Version}, nil
		})
		if err != nil {
			return err
		}
		return writeRead(w, r, answer.Body, etag.OfVersion(answer.Version))
	})
}

// handleBookReplace answers 200 with the book as it is now, or what creating answers, or 404, 412, 428. It never creates:
// IDs are the server's.
func (a *API) handleBookReplace() http.Handler {
	return exchange.Handle(func(w http.ResponseWriter, r *http.Request) error {
		id, err := readTarget(r)
		if err != nil {
			return err
		}
		condition, err := etag.ForChange(r.Header, a.RequireIfMatch)
		if err != nil {
			return err
		}
		draft, _, err := a.readDraft(w, r)
		if err != nil {
			return err
		}
		replaced, err := a.Store.Replace(r.Context(), id, draft, condition)
		if err != nil {
			return err
		}
		return writeChanged(w, replaced)
	})
}

// handleBookPatch changes the members that a merge patch (RFC 7396) names, and answers as replacing does. The rules of a
// book apply to what the patch makes of it, as a whole.
func (a *API) handleBookPatch() http.Handler {
	return exchange.Handle(func(w http.ResponseWriter, r *http.Request) error {
		id, err := readTarget(r)
		if err != nil {
			return err
		}
		condition, err := etag.ForChange(r.Header, a.RequireIfMatch)
		if err != nil {
			return err
		}
		if err := media.RequireAcceptable(r); err != nil {
			return err
		}
		body, err := a.readJSON(w, r, media.MergePatch)
		if err != nil {
			return err
		}
		patch, err := bookjson.DecodePatch(body)
		if err != nil {
			return err
		}
		modified, err := a.Store.Modify(r.Context(), id, condition, func(b book.Book) (book.Draft, error) {
			return patch.Apply(b.Draft()).Normalize(a.Now())
		})
		if err != nil {
			return err
		}
		return writeChanged(w, modified)
	})
}

// writeChanged answers 200 with a book as a change has left it. RFC 9110, section 9.3.4, keeps the tag of what a PUT has
// stored from clients that would take it for the tag of what they sent; Content-Location says that it is the tag of the
// representation in the answer (section 8.7).
func writeChanged(w http.ResponseWriter, b book.Book) error {
	w.Header().Set("ETag", etag.OfVersion(b.Version).String())
	w.Header().Set("Content-Location", locationOf(b))
	return exchange.Write(w, http.StatusOK, bookjson.Encode(b))
}

// locationOf is the path of a book.
func locationOf(b book.Book) string { return booksPath + "/" + strconv.FormatInt(b.ID, 10) }

// handleBookDelete answers 204, or 400, 404, 412, 428, 503. It looks at no Accept header, since there is nothing to represent.
func (a *API) handleBookDelete() http.Handler {
	return exchange.Handle(func(w http.ResponseWriter, r *http.Request) error {
		id, err := readTarget(r)
		if err != nil {
			return err
		}
		condition, err := etag.ForChange(r.Header, a.RequireIfMatch)
		if err != nil {
			return err
		}
		if err := a.Store.Delete(r.Context(), id, condition); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// readTarget returns the ID in the path of a request that has no query. Whatever is not the canonical form of a positive number names no book.
func readTarget(r *http.Request) (int64, error) {
	if err := query.Refuse(r.URL.RawQuery); err != nil {
		return 0, err
	}
	return pathID(r)
}

// pathID returns the ID in the path.
func pathID(r *http.Request) (int64, error) {
	text := r.PathValue("id")
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 || strconv.FormatInt(id, 10) != text {
		return 0, book.ErrNotFound
	}
	return id, nil
}

// readDraft reads the body of a create or a replace, and checks it by the rules of package book.
func (a *API) readDraft(w http.ResponseWriter, r *http.Request) (draft book.Draft, body []byte, err error) {
	if err := media.RequireAcceptable(r); err != nil {
		return book.Draft{}, nil, err
	}
	if body, err = a.readJSON(w, r, media.JSON); err != nil {
		return book.Draft{}, nil, err
	}
	if draft, err = bookjson.DecodeDraft(body); err != nil {
		return book.Draft{}, nil, err
	}
	draft, err = draft.Normalize(a.Now())
	return draft, body, err
}

// readJSON returns the body of a request, which must be of the given type of JSON.
func (a *API) readJSON(w http.ResponseWriter, r *http.Request, wantType string) ([]byte, error) {
	if err := media.RequireJSON(r.Header, wantType); err != nil {
		return nil, err
	}
	return exchange.ReadBody(w, r, a.MaxBodyBytes)
}

// writeRead answers a GET or HEAD with a representation and its tag, or without it when the client has it.
func writeRead(w http.ResponseWriter, r *http.Request, body []byte, tag etag.Tag) error {
	unchanged, err := etag.ForRead(r.Header, tag)
	if err != nil {
		return err
	}
	if !unchanged {
		if err := exchange.Hold(w, body); err != nil {
			return err
		}
	}
	w.Header().Set("ETag", tag.String())
	w.Header().Set("Cache-Control", etag.Revalidate)
	if unchanged {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	exchange.Send(w, http.StatusOK, media.JSON, body)
	return nil
}
