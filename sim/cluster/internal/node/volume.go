package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mountError says which volume of a pod could not be set up, in the words of a kubelet's FailedMount event.
type mountError struct {
	volume string
	err    error
}

func (e *mountError) Error() string {
	return fmt.Sprintf("MountVolume.SetUp failed for volume %q : %v", e.volume, e.err)
}
func (e *mountError) Unwrap() error { return e.err }

// mount sets up the volumes that c mounts: read-only ones as files in memory, writable ones as directories below
// scratch at their mount path. claims is where the node keeps what persistent volume claims hold.
func (s *sources) mount(ctx context.Context, c *corev1.Container, scratch, claims string, at time.Time) (files, error) {
	out := files{}
	for _, m := range c.VolumeMounts {
		v := s.volume(m.Name)
		if v == nil {
			return nil, &mountError{m.Name, fmt.Errorf("volume %q not found in the pod", m.Name)}
		}
		var err error
		if v.EmptyDir != nil || v.Ephemeral != nil || v.PersistentVolumeClaim != nil {
			err = s.writable(ctx, v, m, scratch, claims)
		} else {
			err = s.readOnly(ctx, v, m, c, out, at)
		}
		if err != nil {
			return nil, &mountError{m.Name, err}
		}
	}
	return out, nil
}

func (s *sources) volume(name string) *corev1.Volume {
	for i := range s.pod.Spec.Volumes {
		if s.pod.Spec.Volumes[i].Name == name {
			return &s.pod.Spec.Volumes[i]
		}
	}
	return nil
}

func (s *sources) readOnly(ctx context.Context, v *corev1.Volume, m corev1.VolumeMount, c *corev1.Container, out files, at time.Time) error {
	content, err := s.content(ctx, v, c)
	if err != nil {
		return err
	}
	if m.SubPath != "" {
		x, ok := content[path.Clean(m.SubPath)]
		if !ok {
			return fmt.Errorf("subPath %q is not in the volume", m.SubPath)
		}
		x.at = at
		out.put(m.MountPath, x)
		return nil
	}
	for p, x := range content {
		x.at = at
		out.put(path.Join(m.MountPath, p), x)
	}
	return nil
}

// content gives the files of a volume that the API server's objects make up.
func (s *sources) content(ctx context.Context, v *corev1.Volume, c *corev1.Container) (files, error) {
	out := files{}
	switch {
	case v.Secret != nil:
		data, err := s.secret(ctx, v.Secret.SecretName, v.Secret.Optional)
		if err != nil {
			return nil, err
		}
		return out, project(out, data, v.Secret.Items, mode(v.Secret.DefaultMode), v.Secret.Optional, noSecretKey)
	case v.ConfigMap != nil:
		data, err := s.configMap(ctx, v.ConfigMap.Name, v.ConfigMap.Optional)
		if err != nil {
			return nil, err
		}
		return out, project(out, data, v.ConfigMap.Items, mode(v.ConfigMap.DefaultMode), v.ConfigMap.Optional, noConfigKey)
	case v.DownwardAPI != nil:
		return out, s.downward(out, v.DownwardAPI.Items, mode(v.DownwardAPI.DefaultMode), c)
	case v.Projected != nil:
		return out, s.projected(ctx, out, v.Projected, c)
	}
	return nil, errors.New("this kind of volume is not supported by this node: use secret, configMap, projected, downwardAPI, emptyDir, ephemeral or persistentVolumeClaim")
}

func (s *sources) projected(ctx context.Context, out files, v *corev1.ProjectedVolumeSource, c *corev1.Container) error {
	for _, from := range v.Sources {
		var err error
		var data map[string][]byte
		switch {
		case from.Secret != nil:
			if data, err = s.secret(ctx, from.Secret.Name, from.Secret.Optional); err == nil {
				err = project(out, data, from.Secret.Items, mode(v.DefaultMode), from.Secret.Optional, noSecretKey)
			}
		case from.ConfigMap != nil:
			if data, err = s.configMap(ctx, from.ConfigMap.Name, from.ConfigMap.Optional); err == nil {
				err = project(out, data, from.ConfigMap.Items, mode(v.DefaultMode), from.ConfigMap.Optional, noConfigKey)
			}
		case from.DownwardAPI != nil:
			err = s.downward(out, from.DownwardAPI.Items, mode(v.DefaultMode), c)
		default:
			err = errors.New("a projected source is not supported by this node: use secret, configMap or downwardAPI")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *sources) downward(out files, items []corev1.DownwardAPIVolumeFile, m fs.FileMode, c *corev1.Container) error {
	for _, i := range items {
		var v string
		var err error
		if i.FieldRef != nil {
			v, err = s.field(i.FieldRef.FieldPath)
		} else if i.ResourceFieldRef != nil {
			v, err = s.resource(i.ResourceFieldRef, c)
		}
		if err != nil {
			return err
		}
		if i.Mode != nil {
			m = mode(i.Mode)
		}
		out.put(i.Path, file{data: []byte(v), mode: m})
	}
	return nil
}

// What is said of a key that is not there, in a kubelet's words.
const (
	noSecretKey = "references non-existent secret key: %s"
	noConfigKey = "configmap references non-existent config key: %s"
)

// project adds data's keys as files: all of them, or those that items choose. missing is what is said of a key that is not
// there.
func project(out files, data map[string][]byte, items []corev1.KeyToPath, m fs.FileMode, optional *bool, missing string) error {
	if items == nil {
		for k, v := range data {
			out.put(k, file{data: v, mode: m})
		}
		return nil
	}
	for _, i := range items {
		v, ok := data[i.Key]
		if !ok {
			if optional != nil && *optional {
				continue
			}
			return fmt.Errorf(missing, i.Key)
		}
		fm := m
		if i.Mode != nil {
			fm = mode(i.Mode)
		}
		out.put(i.Path, file{data: v, mode: fm})
	}
	return nil
}

// mode gives a volume's permission bits; Kubernetes' default is 0644.
func mode(m *int32) fs.FileMode {
	if m == nil {
		return 0o644
	}
	return fs.FileMode(*m) & fs.ModePerm
}

// writable makes the directory of a writable volume.
func (s *sources) writable(ctx context.Context, v *corev1.Volume, m corev1.VolumeMount, scratch, claims string) error {
	if m.SubPath != "" || m.SubPathExpr != "" {
		return errors.New("subPath of a writable volume is not supported by this node: mount the whole volume")
	}
	dir := filepath.Join(scratch, filepath.FromSlash(strings.TrimPrefix(path.Clean("/"+m.MountPath), "/")))
	if v.EmptyDir != nil {
		return os.MkdirAll(dir, 0o700)
	}
	name := s.pod.Name + "-" + v.Name
	if v.PersistentVolumeClaim != nil {
		name = v.PersistentVolumeClaim.ClaimName
	}
	claim, err := s.client.CoreV1().PersistentVolumeClaims(s.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("persistentvolumeclaim %q not found", name)
	case err != nil:
		return fmt.Errorf("read persistentvolumeclaim %q: %w", name, err)
	case claim.Status.Phase != corev1.ClaimBound:
		return fmt.Errorf("persistentvolumeclaim %q is not bound", name)
	}
	if v.Ephemeral != nil {
		return os.MkdirAll(dir, 0o700)
	}
	return link(filepath.Join(claims, string(claim.UID)), dir)
}

// link lets dir be another name of the directory target, which is made if it is missing.
func link(target, dir string) error {
	if err := os.MkdirAll(target, 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	err := os.Symlink(target, dir)
	if os.IsExist(err) {
		return nil
	}
	return err
}
