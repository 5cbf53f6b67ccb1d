package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/dpesim/dpesim/sim"
)

// Limits of uploads under way. They are ours: an upload that nobody goes on with shall not stay for ever.
const (
	uploadIdle = 24 * time.Hour // product time after which an upload is forgotten
	maxUploads = 1000           // at once
)

// upload is a blob that is arriving. It lives as long as the process: a client begins again after a restart.
type upload struct {
	id, repository string
	used           time.Time // guarded by Registry.mu

	mu   sync.Mutex // held while a request works on it
	file *os.File
	size int64
	done bool // committed or cancelled: the file is closed and gone
}

// beginUpload handles POST: a blob in one request (digest), a mount from another repository (mount, from), or the begin
// of an upload.
func (r *Registry) beginUpload(w http.ResponseWriter, req *http.Request, rt route, c caller) error {
	q := req.URL.Query()
	if d := q.Get("mount"); d != "" {
		if err := checkDigest(d); err != nil {
			return err
		}
		if ok, err := r.mount(req.Context(), rt.repository, q.Get("from"), d, c); err != nil {
			return err
		} else if ok {
			created(w, rt.repository, d)
			return nil
		}
	}
	u, err := r.newUpload(rt.repository)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	d := q.Get("digest")
	if d == "" {
		u.tell(w)
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	if err := u.append(req); err != nil {
		return errors.Join(err, r.drop(u))
	}
	return r.commit(w, req, u, d)
}

// mount makes a blob of another repository one of this one. It tells false if there is no such blob that the caller may
// read: the client then uploads it.
func (r *Registry) mount(ctx context.Context, repository, from, d string, c caller) (bool, error) {
	sources := []string{from}
	if from == "" {
		all, err := r.kept.Holders(ctx, d)
		if err != nil {
			return false, err
		}
		sources = all
	}
	for _, s := range sources {
		if !c.may(s, ActionPull) {
			continue
		}
		err := r.kept.Mount(ctx, repository, s, d)
		if sim.KindOf(err) == sim.NotFound {
			continue
		}
		return err == nil, err
	}
	return false, nil
}

func (r *Registry) newUpload(repository string) (*upload, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.opt.Clock.Now()
	for id, u := range r.uploads {
		if now.Sub(u.used) > uploadIdle && u.mu.TryLock() {
			err := u.discard()
			u.mu.Unlock()
			delete(r.uploads, id)
			if err != nil {
				return nil, err
			}
		}
	}
	if len(r.uploads) >= maxUploads {
		return nil, &problem{http.StatusTooManyRequests, codeTooManyRequests, "too many uploads are under way: end or cancel some"}
	}
	f, err := r.kept.TempFile()
	if err != nil {
		return nil, fmt.Errorf("begin an upload: %w", err)
	}
	u := &upload{id: rand.Text(), repository: repository, used: now, file: f}
	r.uploads[u.id] = u
	return u, nil
}

// serveUpload handles what goes on with an upload: GET, PATCH, PUT and DELETE.
func (r *Registry) serveUpload(w http.ResponseWriter, req *http.Request, rt route) error {
	r.mu.Lock()
	u, ok := r.uploads[rt.reference]
	if ok {
		u.used = r.opt.Clock.Now()
	}
	r.mu.Unlock()
	if !ok || u.repository != rt.repository {
		return errUploadUnknown
	}
	if !u.mu.TryLock() {
		return &problem{http.StatusConflict, codeBlobUploadInvalid, "another request works on this upload"}
	}
	defer u.mu.Unlock()
	if u.done {
		return errUploadUnknown
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		u.tell(w)
		w.WriteHeader(http.StatusNoContent)
		return nil
	case http.MethodPatch:
		if err := u.append(req); err != nil {
			u.tell(w)
			return err
		}
		u.tell(w)
		w.WriteHeader(http.StatusAccepted)
		return nil
	case http.MethodPut:
		if err := u.append(req); err != nil {
			u.tell(w)
			return err
		}
		return r.commit(w, req, u, req.URL.Query().Get("digest"))
	case http.MethodDelete:
		if err := r.drop(u); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	default:
		return errMethod
	}
}

// tell says where an upload is and how far it has come.
func (u *upload) tell(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Location", "/v2/"+u.repository+"/blobs/uploads/"+u.id)
	h.Set("Range", "0-"+strconv.FormatInt(max(u.size-1, 0), 10))
	h.Set("Docker-Upload-UUID", u.id)
}

// rangePattern is the form of a chunk's Content-Range. Source: OCI distribution specification 1.1, "Pushing a blob in
// chunks": it is not that of HTTP.
var rangePattern = regexp.MustCompile(`^([0-9]+)-([0-9]+)$`)

// parseRange reads a chunk's Content-Range: first and last byte.
func parseRange(s string) (first, last int64, err error) {
	m := rangePattern.FindStringSubmatch(s)
	if m == nil {
		return 0, 0, errRange
	}
	first, err1 := strconv.ParseInt(m[1], 10, 64)
	last, err2 := strconv.ParseInt(m[2], 10, 64)
	if err1 != nil || err2 != nil || last < first || last == 1<<63-1 {
		return 0, 0, errRange
	}
	return first, last, nil
}

var errRange = &problem{http.StatusRequestedRangeNotSatisfiable, codeBlobUploadInvalid, "invalid Content-Range: it is FIRST-LAST in bytes, and begins where the last chunk ended"}

// append adds a request's body. If it does not arrive whole, nothing is added.
func (u *upload) append(req *http.Request) error {
	want := int64(-1)
	if s := req.Header.Get("Content-Range"); s != "" {
		first, last, err := parseRange(s)
		if err != nil {
			return err
		}
		if first != u.size {
			return errRange
		}
		want = last - first + 1
	}
	n, err := io.Copy(io.NewOffsetWriter(u.file, u.size), req.Body)
	if err == nil && want >= 0 && n != want {
		err = &problem{http.StatusBadRequest, codeSizeInvalid, "provided length did not match content length"}
	}
	if err != nil {
		if e := u.file.Truncate(u.size); e != nil {
			return errors.Join(err, e)
		}
		if _, ok := errors.AsType[*problem](err); !ok && req.Context().Err() == nil {
			return fmt.Errorf("take an upload: %w", err)
		} else if !ok {
			return &problem{http.StatusBadRequest, codeBlobUploadInvalid, "the upload was cut"}
		}
		return err
	}
	u.size += n
	return nil
}

// commit makes an upload a blob, if it has the digest. Otherwise the upload is gone.
func (r *Registry) commit(w http.ResponseWriter, req *http.Request, u *upload, d string) error {
	if err := checkDigest(d); err != nil {
		return errors.Join(err, r.drop(u))
	}
	verifier := digest.Digest(d).Verifier()
	_, err := io.Copy(verifier, io.NewSectionReader(u.file, 0, u.size))
	if err == nil && !verifier.Verified() {
		err = &problem{http.StatusBadRequest, codeDigestInvalid, "provided digest did not match uploaded content"}
	}
	if err == nil {
		err = errors.Join(u.file.Sync(), u.file.Close()) // closed: Windows moves no open file
	}
	if err == nil {
		err = r.kept.PutBlob(req.Context(), u.repository, d, u.file.Name(), u.size)
	}
	if err := errors.Join(err, r.drop(u)); err != nil {
		return err
	}
	created(w, u.repository, d)
	return nil
}

// created answers that a blob is there.
func created(w http.ResponseWriter, repository, d string) {
	w.Header().Set("Location", "/v2/"+repository+"/blobs/"+d)
	w.Header().Set("Docker-Content-Digest", d)
	w.WriteHeader(http.StatusCreated)
}

// drop ends an upload; u.mu is held.
func (r *Registry) drop(u *upload) error {
	r.mu.Lock()
	delete(r.uploads, u.id)
	r.mu.Unlock()
	return u.discard()
}

// discard closes and removes the file, if it did not become a blob; u.mu is held.
func (u *upload) discard() error {
	if u.done {
		return nil
	}
	u.done = true
	if err := u.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	if err := os.Remove(u.file.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
