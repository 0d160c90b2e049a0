# The rules of scripts/doctor, and what a finding of one is.

# A rule's id and severity are promises: scripts test for them. tests/fixtures/doctor has a bad and a good
# case of each.

def ecs_docs: "https://docs.aws.amazon.com/AmazonECS/latest/";
def container_docs: ecs_docs + "APIReference/API_ContainerDefinition.html";
def dependency_docs: ecs_docs + "APIReference/API_ContainerDependency.html";
def bind_docs: ecs_docs + "developerguide/bind-mounts.html";
def fargate_docs: ecs_docs + "developerguide/fargate-tasks-services.html";
def efs_docs: ecs_docs + "APIReference/API_EFSAuthorizationConfig.html";
def compose_docs: "https://docs.docker.com/reference/compose-file/";
def services_docs: compose_docs + "services/";
def k8s_docs: "https://kubernetes.io/docs/";
def init_docs: k8s_docs + "concepts/workloads/pods/init-containers/";
def volume_docs: k8s_docs + "concepts/storage/volumes/";
def standards_docs: k8s_docs + "concepts/security/pod-security-standards/";
def issue($repo; $number): "https://github.com/\($repo)/issues/\($number)";

def rules:
	{
		"ecs-no-data": ["warning", "no container fills a volume for another one", bind_docs],
		"ecs-not-decant": ["warning", "a container fills a volume for others with something else than decant", bind_docs],
		"ecs-essential": ["error", "a container whose end others wait for is essential", issue("boto/boto3"; 2436)],
		"ecs-no-essential": ["error", "no container is essential", container_docs],
		"ecs-depends-on": ["error", "a consumer does not wait for the data container itself", issue("aws/amazon-ecs-agent"; 2579)],
		"ecs-condition": ["error", "a consumer waits for something else than SUCCESS", dependency_docs],
		"ecs-depends-on-unknown": ["error", "dependsOn names a container that is not there", dependency_docs],
		"ecs-depends-on-cycle": ["error", "containers wait for each other", dependency_docs],
		"ecs-health-check": ["error", "HEALTHY of a container without a healthCheck", dependency_docs],
		"ecs-start-timeout": ["warning", "the data container may take for ever", issue("aws/amazon-ecs-agent"; 2152)],
		"ecs-start-timeout-range": ["error", "startTimeout is not 2 to 120 seconds on Fargate", container_docs],
		"ecs-stop-timeout-range": ["error", "stopTimeout is not 2 to 120 seconds on Fargate", container_docs],
		"ecs-restart-policy": ["warning", "the data container is started again after success", ecs_docs + "developerguide/container-restart-policy.html"],
		"ecs-read-only": ["warning", "a consumer may write what it only has to read", bind_docs],
		"ecs-data-read-only": ["error", "the data container may not write its volume", bind_docs],
		"ecs-path-differs": ["warning", "the volume has another path in a consumer than in the data container", issue("aws/containers-roadmap"; 938)],
		"ecs-path": ["error", "a path is not absolute and plain", bind_docs],
		"ecs-path-symlink": ["warning", "a path leads through a symbolic link of most images", bind_docs],
		"ecs-mount-twice": ["error", "two mounts of a container are at one path", bind_docs],
		"ecs-dest": ["error", "decant fills a directory that is not on the volume", bind_docs],
		"ecs-volume-unused": ["error", "no other container sees what the data container fills", bind_docs],
		"ecs-volume-unknown": ["error", "mountPoints names a volume that is not declared", ecs_docs + "APIReference/API_MountPoint.html"],
		"ecs-volumes-from-unknown": ["error", "volumesFrom names a container that is not there", ecs_docs + "APIReference/API_VolumeFrom.html"],
		"ecs-volume-name": ["error", "a volume's name has characters that ECS refuses", ecs_docs + "APIReference/API_Volume.html"],
		"ecs-name-twice": ["error", "two containers or two volumes have one name", container_docs],
		"ecs-second-writer": ["error", "two containers fill one volume", bind_docs],
		"ecs-host-path": ["error", "host.sourcePath on Fargate", issue("aws/amazon-ecs-cli"; 501)],
		"ecs-docker-volume": ["error", "dockerVolumeConfiguration on Fargate", fargate_docs],
		"ecs-tmpfs-volume": ["error", "a tmpfs volume is emptied when the data container ends", "https://github.com/moby/moby/pull/20501"],
		"ecs-ephemeral-range": ["error", "ephemeralStorage is not 21 to 200 GiB", ecs_docs + "APIReference/API_EphemeralStorage.html"],
		"ecs-ephemeral-size": ["error", "ephemeral storage is too small for image and volume", ecs_docs + "developerguide/fargate-task-storage.html"],
		"ecs-memory": ["warning", "the data container has less than 32 MiB of memory", container_docs],
		"ecs-memory-sum": ["error", "the containers' memory is more than the task's", ecs_docs + "developerguide/task_definition_parameters.html"],
		"ecs-memory-missing": ["error", "neither the task nor a container has memory", container_docs],
		"ecs-fargate-size": ["error", "cpu and memory are no pair that Fargate has", ecs_docs + "developerguide/task_definition_parameters.html"],
		"ecs-fargate-parameter": ["error", "a parameter that Fargate does not take", fargate_docs],
		"ecs-network-mode": ["error", "networkMode is not awsvpc on Fargate", fargate_docs],
		"ecs-image-pinned": ["warning", "an image is not pinned by digest", ecs_docs + "developerguide/task-definition-best-practices.html"],
		"ecs-image": ["error", "an image is missing, or is no name of one", container_docs],
		"ecs-entry-point": ["error", "entryPoint hides decant", container_docs],
		"ecs-command": ["error", "command makes decant do something else than fill, or hides that it failed", container_docs],
		"ecs-user-name": ["warning", "the data container's user is a name", container_docs],
		"ecs-log": ["warning", "only the data container has no log", container_docs],
		"ecs-efs-encryption": ["error", "EFS authorization without transit encryption", efs_docs],
		"ecs-efs-root": ["error", "an EFS access point together with a root directory", efs_docs],
		"ecs-output-field": ["warning", "a field that describe-task-definition prints and register-task-definition refuses", issue("aws/aws-cli"; 5882)],

		"compose-no-data": ["warning", "no service fills a volume for another one", compose_docs + "volumes/"],
		"compose-not-decant": ["warning", "a service fills a volume for others with something else than decant", compose_docs + "volumes/"],
		"compose-depends-on": ["error", "a consumer does not wait for the data service itself", services_docs + "#depends_on"],
		"compose-condition": ["error", "a consumer waits for something else than completion with success", services_docs + "#depends_on"],
		"compose-required": ["warning", "a consumer starts without the data service, too", services_docs + "#depends_on"],
		"compose-depends-on-unknown": ["error", "depends_on names a service that is not there", services_docs + "#depends_on"],
		"compose-depends-on-cycle": ["error", "services wait for each other", services_docs + "#depends_on"],
		"compose-profiles": ["error", "the data service is off in a profile in which a consumer is on", issue("docker/compose"; 12900)],
		"compose-restart": ["error", "a service whose end others wait for is started again after success", services_docs + "#restart"],
		"compose-replicas": ["warning", "several data containers fill one volume", services_docs + "#scale"],
		"compose-read-only": ["warning", "a consumer may write what it only has to read", services_docs + "#volumes"],
		"compose-nocopy": ["warning", "files of the consumer's image may get into the volume", issue("moby/moby"; 43068)],
		"compose-data-read-only": ["error", "the data service may not write its volume", services_docs + "#volumes"],
		"compose-path-differs": ["warning", "the volume has another path in a consumer than in the data service", services_docs + "#volumes"],
		"compose-path": ["error", "a path is not absolute and plain", services_docs + "#volumes"],
		"compose-path-symlink": ["warning", "a path leads through a symbolic link of most images", issue("opencontainers/runc"; 4991)],
		"compose-mount-twice": ["error", "two mounts of a service are at one path", services_docs + "#volumes"],
		"compose-dest": ["error", "decant fills a directory that is not on the volume", services_docs + "#volumes"],
		"compose-volume-unused": ["error", "no other service sees what the data service fills", services_docs + "#volumes"],
		"compose-volume-unknown": ["error", "a service uses a volume that is not declared", compose_docs + "volumes/"],
		"compose-volumes-from-unknown": ["error", "volumes_from names a service that is not there", services_docs + "#volumes_from"],
		"compose-second-writer": ["error", "two services fill one volume", issue("moby/moby"; 43068)],
		"compose-tmpfs-volume": ["error", "a tmpfs volume is emptied when the data service ends", "https://github.com/moby/moby/pull/20501"],
		"compose-memory": ["warning", "the data service has less than 32 MiB of memory", services_docs + "#mem_limit"],
		"compose-image-pinned": ["warning", "an image from a registry is not pinned by digest", services_docs + "#image"],
		"compose-image": ["error", "an image is missing, or is no name of one", services_docs + "#image"],
		"compose-entry-point": ["error", "entrypoint hides decant", services_docs + "#entrypoint"],
		"compose-command": ["error", "command makes decant do something else than fill, or hides that it failed", services_docs + "#command"],
		"compose-user-name": ["warning", "the data service's user is a name", services_docs + "#user"],

		"k8s-no-data": ["warning", "no init container fills a volume for a container", init_docs],
		"k8s-not-decant": ["warning", "an init container fills a volume for others with something else than decant", init_docs],
		"k8s-init-container": ["error", "the data container starts together with its consumers", init_docs],
		"k8s-order": ["error", "an init container that reads the volume comes before the data container", init_docs],
		"k8s-sidecar": ["error", "the data container is a sidecar, for which nobody waits", k8s_docs + "concepts/workloads/pods/sidecar-containers/"],
		"k8s-init-probe": ["error", "an init container has a probe or lifecycle", init_docs],
		"k8s-read-only": ["warning", "a consumer may write what it only has to read", volume_docs],
		"k8s-data-read-only": ["error", "the data container may not write its volume", volume_docs],
		"k8s-read-only-volume": ["error", "the data container's volume is of a kind that is read-only", volume_docs],
		"k8s-path-differs": ["warning", "the volume has another path in a consumer than in the data container", volume_docs],
		"k8s-path": ["error", "a path is not absolute and plain", volume_docs],
		"k8s-path-symlink": ["warning", "a path leads through a symbolic link of most images", issue("opencontainers/runc"; 4991)],
		"k8s-mount-twice": ["error", "two mounts of a container are at one path", k8s_docs + "reference/kubernetes-api/workload-resources/pod-v1/"],
		"k8s-dest": ["error", "decant fills a directory that is not on the volume", volume_docs],
		"k8s-volume-unused": ["error", "no container sees what the data container fills", volume_docs],
		"k8s-volume-unknown": ["error", "volumeMounts names a volume that is not declared", volume_docs],
		"k8s-volume-shadowed": ["warning", "a claim template takes the place of a volume of the pod", k8s_docs + "reference/kubernetes-api/workload-resources/stateful-set-v1/"],
		"k8s-name-twice": ["error", "two containers or two volumes have one name", k8s_docs + "reference/kubernetes-api/workload-resources/pod-v1/"],
		"k8s-second-writer": ["error", "two containers fill one volume", volume_docs],
		"k8s-shared-claim": ["warning", "each replica fills the same persistent volume", k8s_docs + "concepts/storage/persistent-volumes/"],
		"k8s-size-limit": ["error", "sizeLimit is too small: the pod will be evicted", volume_docs + "#emptydir"],
		"k8s-ephemeral-limit": ["error", "ephemeral-storage limits are too small: the pod will be evicted", k8s_docs + "concepts/configuration/manage-resources-containers/"],
		"k8s-memory-medium": ["error", "a volume in memory is larger than its writer's memory limit", issue("kubernetes/website"; 36494)],
		"k8s-memory": ["warning", "the data container has less than 32 MiB of memory", issue("DataDog/datadog-agent"; 38831)],
		"k8s-image-pinned": ["warning", "an image is not pinned by digest", k8s_docs + "concepts/containers/images/"],
		"k8s-image": ["error", "an image is missing, or is no name of one", k8s_docs + "concepts/containers/images/"],
		"k8s-entry-point": ["error", "command hides decant", k8s_docs + "tasks/inject-data-application/define-command-argument-container/"],
		"k8s-command": ["error", "args make decant do something else than fill, or hide that it failed", k8s_docs + "tasks/inject-data-application/define-command-argument-container/"],
		"k8s-run-as-root": ["error", "runAsNonRoot with user 0", k8s_docs + "tasks/configure-pod-container/security-context/"],
		"k8s-run-as-user": ["warning", "runAsNonRoot, and the user is the image's, who may be root", issue("goharbor/harbor-operator"; 82)],
		"k8s-restricted": ["error", "the app meets the restricted standard, the data container does not", standards_docs],
		"k8s-fs-group": ["warning", "a user other than root, and a persistent volume without fsGroup", issue("kubernetes/kubernetes"; 2630)],
		"k8s-host-path": ["warning", "a user other than root, and a hostPath volume", issue("kubernetes/kubernetes"; 138411)],
		"k8s-termination-message": ["warning", "the reason of a failure is only in the log", k8s_docs + "tasks/debug/debug-application/determine-reason-pod-failure/"]
	};

def finding($where; $rule; $remedy):
	rules[$rule] as $known
	| { where: $where, rule: $rule, severity: $known[0], remedy: $remedy, source: $known[2] };
