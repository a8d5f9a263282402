#!/bin/sh
# A box of its own: systemd on a copy of this machine's files, with its own network and processes.
# Nothing that is done in it stays. box.sh FOLDER HOSTNAME REPOSITORY; the repository is /srv/repository there.
set -e
folder=$1
name=$2
repository=$3

if [ "$4" != inside ]; then
  # The cgroup of its own is systemd's root there.
  mkdir -p "$folder/cgroup" "$folder/disk"
  mount -t cgroup2 cgroup2 "$folder/cgroup"
  mkdir -p "$folder/cgroup/$(basename "$folder")"
  echo $$ >"$folder/cgroup/$(basename "$folder")/cgroup.procs"
  umount "$folder/cgroup"
  exec unshare --mount --pid --uts --ipc --net --cgroup --fork --kill-child "$0" "$folder" "$name" "$repository" inside
fi

mount --make-rprivate /
mount -t tmpfs tmpfs "$folder/disk"
cd "$folder/disk"
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
cd root
mkdir -p srv
cp -a "$repository" srv/repository
: >etc/machine-id
echo "$name" >etc/hostname
rm -rf etc/systemd/network etc/systemd/system/*.wants
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
for device in null zero full random urandom tty; do
  touch dev/$device
  mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm
ln -s /proc/self/fd dev/fd
ip link set lo up
pivot_root . mnt
umount -l /mnt
exec env -i container=photoedge-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --show-status=no systemd.unit=basic.target
