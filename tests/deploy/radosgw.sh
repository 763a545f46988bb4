#!/bin/bash
# A Ceph Object Gateway in a container, on port 9000, in place of the S3 service of docker-compose.with-s3.yml. Ceph's
# programs come from the machine, whose /usr is mounted; everything else is in memory and gone with the container.
set -euo pipefail

dir=/run/radosgw
conf=$dir/ceph.conf
keyring=$dir/keyring
monitor='[v2:127.0.0.1:3300]'
mkdir -p $dir/mon $dir/osd $dir/rgw $dir/log
fsid=$(cat /proc/sys/kernel/random/uuid)
osd=$(cat /proc/sys/kernel/random/uuid)
cat >$conf <<EOF
[global]
fsid = $fsid
mon host = v2:127.0.0.1:3300
public addr = 127.0.0.1
keyring = $keyring
run dir = $dir
admin socket = $dir/\$type.\$id.asok
pid file = $dir/\$type.\$id.pid
log file = $dir/log/\$type.\$id.log
mon allow pool size one = true
mon data avail warn = 1
mon data avail crit = 1
osd objectstore = memstore
memstore device bytes = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
[mon.a]
mon data = $dir/mon
[osd.0]
osd data = $dir/osd
[client.rgw]
rgw data = $dir/rgw
rgw frontends = beast endpoint=0.0.0.0:9000
EOF

ceph-authtool --create-keyring $keyring --gen-key -n mon. --cap mon 'allow *'
for name in client.admin client.rgw; do
  ceph-authtool $keyring --gen-key -n $name --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
done
ceph-authtool $keyring --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' --cap mgr 'allow *'
monmaptool --create --clobber --fsid "$fsid" --addv a "$monitor" $dir/monmap
ceph-mon -c $conf -i a --mkfs --monmap $dir/monmap --keyring $keyring
ceph-mon -c $conf -i a
ceph() { command ceph -c $conf --connect-timeout 60 "$@"; }
ceph osd new "$osd" 0
ceph auth import -i $keyring
ceph osd crush add osd.0 1.0 root=default host=localhost
ceph-osd -c $conf -i 0 --mkfs --osd-uuid "$osd"
ceph-osd -c $conf -i 0
until ceph osd stat | grep -q ' 1 up'; do sleep 0.3; done
radosgw-admin -c $conf -n client.rgw user create --uid=delta --display-name=delta \
  --access-key="$MINIO_ROOT_USER" --secret-key="$MINIO_ROOT_PASSWORD"
exec radosgw -c $conf -n client.rgw -f
