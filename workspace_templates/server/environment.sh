# The surroundings of the server. startup/start.sh reads this file before it starts anything, and so does
#   docker compose --env-file local/environment.sh --file local/compose.yaml up --detach
# so keep to NAME=value lines. After a change: fedward check-kit KIT, then restart.

# The environment that install.sh of the wheelhouse made.
PATH=/opt/fedward/bin:$$PATH

# compose.yaml alone: the image, the user that owns the kit (id -u, id -g), and the folder of starting weights and
# validation images, mounted read-only under its own path.
FEDWARD_IMAGE=fedward:$fedward_version
FEDWARD_USER=1000:1000
FEDWARD_IMAGES=/data
