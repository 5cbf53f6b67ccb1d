package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/internal/image"
	"github.com/dpesim/dpesim/sim/fault"
)

// PointPull is asked before an image is pulled: an error fails the pull.
const PointPull fault.Point = "cluster.pull"

// Reasons why a container waits for its image, and the events that say so. Source: kubelet, images/types.go, events/event.go.
const (
	ErrImagePull       = "ErrImagePull"
	ImagePullBackOff   = "ImagePullBackOff"
	errImageNeverPull  = "ErrImageNeverPull"
	invalidImageName   = "InvalidImageName"
	eventInspectFailed = "InspectFailed"
	eventBackOff       = "BackOff"
	eventNoPullSecret  = "FailedToRetrieveImagePullSecret"
	resync             = 15 * time.Second // how often a kubelet looks again at a pod that waits, and tells so
)

// obtain gives the container's image: the one that the node has, or one that it pulls, however often that takes. It is nil
// if the pod was stopped first.
func (c *container) obtain() *image.Image {
	p := c.pod
	for delay := firstBackOff; !p.stopping(); {
		img, reason, message := c.tryImage()
		if img != nil {
			return img
		}
		c.warn("Failed", "Error: %s", reason)
		c.waiting(reason, message)
		if reason != ErrImagePull {
			p.sleep(lastRetry)
			continue
		}
		if !p.sleep(settle) {
			return nil
		}
		c.waiting(ImagePullBackOff, fmt.Sprintf("Back-off pulling image %q: %s: %s", c.spec.Image, ErrImagePull, message))
		c.linger(delay-settle, func() {
			c.tell(eventBackOff, "Back-off pulling image %q", c.spec.Image)
			c.warn("Failed", "Error: %s", ImagePullBackOff)
		})
		delay = min(2*delay, lastBackOff)
	}
	return nil
}

// linger waits for d, and says again and again that it does. It is false if the pod was stopped meanwhile.
func (c *container) linger(d time.Duration, say func()) bool {
	clock := c.pod.agent.clock
	for until := clock.Now().Add(d); ; {
		left := until.Sub(clock.Now())
		if left <= 0 {
			return true
		}
		say()
		if !c.pod.sleep(min(left, resync)) {
			return false
		}
	}
}

// tryImage gives the image, or why it is not there: a reason and what a pod's status says of it.
func (c *container) tryImage() (img *image.Image, reason, message string) {
	p, n := c.pod, c.pod.node
	name, err := image.Parse(c.spec.Image)
	if err != nil {
		message = fmt.Sprintf("Failed to apply default image tag %q: %v", c.spec.Image, err)
		c.warn(eventInspectFailed, "%s", message)
		return nil, invalidImageName, message
	}
	if img = n.images.get(name); img != nil && c.spec.ImagePullPolicy != corev1.PullAlways {
		c.tell("Pulled", "Container image %q already present on machine and can be accessed by the pod", c.spec.Image)
		return img, "", ""
	}
	if c.spec.ImagePullPolicy == corev1.PullNever {
		message = fmt.Sprintf("Container image %q is not present with pull policy of Never", c.spec.Image)
		c.warn(errImageNeverPull, "%s", message)
		return nil, errImageNeverPull, message
	}
	c.tell("Pulling", "Pulling image %q", c.spec.Image)
	clock := p.agent.clock
	asked := clock.Now()
	select {
	case n.images.turn <- struct{}{}:
		defer func() { <-n.images.turn }()
	case <-p.soft.Done():
		return nil, ErrImagePull, context.Canceled.Error()
	}
	began := clock.Now()
	if img, err = p.pull(name); err == nil {
		err = n.images.put(img)
	}
	if err != nil {
		if !p.stopping() {
			c.warn("Failed", "Failed to pull image %q: %v", c.spec.Image, err)
			c.trouble("image pull failed", err.Error())
		}
		return nil, ErrImagePull, err.Error()
	}
	now := clock.Now()
	c.tell("Pulled", "Successfully pulled image %q in %v (%v including waiting). Image size: %d bytes.",
		c.spec.Image, now.Sub(began).Truncate(time.Millisecond), now.Sub(asked).Truncate(time.Millisecond), img.Size)
	c.trouble("image pulled", img.ID)
	n.touch()
	return img, "", ""
}

// pull pulls an image with each credential that the pod has for it in turn, or with none.
func (p *pod) pull(name image.Name) (*image.Image, error) {
	ctx := p.soft // a pod that is stopped does not wait for a slow registry
	about := fault.Scope{DPE: sim.Label(p.source().Labels[instanceLabel])}
	if err := p.agent.faults.At(ctx, PointPull, about); err != nil {
		return nil, fmt.Errorf("failed to pull and unpack image %q: failed to resolve image: failed to do request: %w", name, err)
	}
	keys, err := p.keyring(ctx)
	if err != nil {
		return nil, err
	}
	credentials := keys.Lookup(name)
	if len(credentials) == 0 {
		credentials = []image.Credential{{}}
	}
	var failed []string
	for _, c := range credentials {
		img, err := p.agent.puller.Pull(ctx, name, c)
		if err == nil {
			return img, nil
		}
		failed = append(failed, err.Error())
	}
	if len(failed) == 1 {
		return nil, errors.New(failed[0])
	}
	return nil, errors.New("[" + strings.Join(failed, ", ") + "]")
}

// keyring gathers the pod's pull secrets, or those of its service account if it names none.
func (p *pod) keyring(ctx context.Context) (*image.Keyring, error) {
	spec := p.source().Spec
	refs := spec.ImagePullSecrets
	if len(refs) == 0 && spec.ServiceAccountName != "" {
		account, err := p.agent.client.CoreV1().ServiceAccounts(p.namespace).Get(ctx, spec.ServiceAccountName, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("read serviceaccount %q: %w", spec.ServiceAccountName, err)
		}
		if err == nil {
			refs = account.ImagePullSecrets
		}
	}
	keys := &image.Keyring{}
	var missing []string
	for _, ref := range refs {
		if ref.Name == "" {
			continue
		}
		secret, err := p.agent.client.CoreV1().Secrets(p.namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			missing = append(missing, ref.Name)
			continue
		}
		if err := keys.Add(secret); err != nil {
			return nil, err
		}
	}
	if len(missing) > 0 {
		p.warn(eventNoPullSecret, "Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", strings.Join(missing, ", "))
	}
	return keys, nil
}
