# The surroundings of $name. startup/start.sh reads this file before it starts anything, and so does
#   docker compose --env-file local/environment.sh --file local/compose.yaml up --detach
# so keep to NAME=value lines. After a change: fedward check-kit KIT, then restart.

# The environment that install.sh of the wheelhouse made.
PATH=/opt/fedward/bin:$$PATH

# Outbound only: where traffic must go through a proxy, FLARE's gRPC takes it from here (remove the #).
# export https_proxy=http://proxy.example.org:3128

# compose.yaml alone: the image, the user that owns the kit (id -u, id -g), and the folder of the images. It is mounted
# read-only under its own path, so that fedward.yml fits with and without containers.
FEDWARD_IMAGE=fedward:$fedward_version
FEDWARD_USER=1000:1000
FEDWARD_IMAGES=/data
