#!/bin/sh
# Turns fresh namespaces into a node. Run by node.py as the first process of new mount, pid, network, uts, ipc and cgroup
# namespaces; everything it does is seen by this node only. Ends by becoming the node's init (the pause program).
# Environment: NODE, FOLDER (the node's), STATE, CACHE, CGROUPS (options of each v1 hierarchy; empty on v2), INIT.
set -eu
# -n: the machine's own table of mounts is not told
mount() { command mount -n "$@"; }
hostname "$NODE"
ip link set lo up

# A /run of its own. The state and cache folders are kept at hand, as they may lie below what is covered next.
mount -t tmpfs -o mode=755 tmpfs "$FOLDER/run"
mkdir -p "$FOLDER/run/keep/state" "$FOLDER/run/keep/cache" "$FOLDER/run/var/upper" "$FOLDER/run/var/work" \
  "$FOLDER/run/netns" "$FOLDER/run/lock" "$FOLDER/run/containerd"
mount --bind "$STATE" "$FOLDER/run/keep/state"
mount --bind "$CACHE" "$FOLDER/run/keep/cache"
mount --move "$FOLDER/run" /run

# Folders that containerd and the kubelet expect are made in an overlay over /var, not on the machine.
mount -t overlay -o lowerdir=/var,upperdir=/run/var/upper,workdir=/run/var/work overlay /var
for pair in containerd:/var/lib/containerd kubelet:/var/lib/kubelet cni:/var/lib/cni \
  log-pods:/var/log/pods log-containers:/var/log/containers; do
  mkdir -p "${pair#*:}"
  mount --bind "/run/keep/state/nodes/$NODE/${pair%%:*}" "${pair#*:}"
done
mkdir -p "$STATE" "$CACHE"
mount --bind /run/keep/state "$STATE"
mount --bind /run/keep/cache "$CACHE"

# Control groups as this node sees them: its own group is the root.
umount -n -R /sys/fs/cgroup
mount -t sysfs sysfs /sys
if [ -n "$CGROUPS" ]; then
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  for options in $CGROUPS; do
    place=/sys/fs/cgroup/$(echo "$options" | sed 's/^none,//; s/name=//')
    mkdir "$place"
    mount -t cgroup -o "$options" cgroup "$place"
  done
else
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  echo $$ > /sys/fs/cgroup/node/cgroup.procs
fi

# The kubelet sets three sysctls of the whole machine. Here it finds files instead, with the values it wants.
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
  file=/run/keep/$(basename "${setting%=*}")
  echo "${setting#*=}" > "$file"
  mount --bind "$file" "/proc/sys/${setting%=*}"
done
echo 1 > /proc/sys/net/ipv4/ip_forward # of this network namespace

mount --make-rshared /
cd /
touch "$FOLDER/ready"
exec "$INIT"
