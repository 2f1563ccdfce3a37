#include "lambda/op/op_function.h"

#define TEXT(member, ...)           \
    {                               \
        .name = member, __VA_ARGS__ \
    }
#define INTEGER(member, ...)                                  \
    {                                                         \
        .name = member, .kind = HD_SHAPE_INTEGER, __VA_ARGS__ \
    }
#define REFUSED(member)                 \
    {                                   \
        .name = member, .refused = true \
    }
#define BOOLEAN(member)                          \
    {                                            \
        .name = member, .kind = HD_SHAPE_BOOLEAN \
    }
#define STRUCT(member, table)                                \
    {                                                        \
        .name = member, .kind = HD_SHAPE_STRUCT, .of = table \
    }
#define LIST(member, table, ...)                                        \
    {                                                                   \
        .name = member, .kind = HD_SHAPE_LIST, .of = table, __VA_ARGS__ \
    }
#define MAP(member, table, ...)                                        \
    {                                                                  \
        .name = member, .kind = HD_SHAPE_MAP, .of = table, __VA_ARGS__ \
    }

static const char *const package_types[] = {"Zip", "Image", NULL};
static const char *const tracing_modes[] = {"Active", "PassThrough", NULL};
static const char *const architectures[] = {"x86_64", "arm64", NULL};
static const char *const apply_on[] = {"PublishedVersions", "None", NULL};
static const char *const log_formats[] = {"JSON", "Text", NULL};
static const char *const app_levels[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", NULL};
static const char *const system_levels[] = {"DEBUG", "INFO", "WARN", NULL};

static const struct hd_shape any_text[] = {TEXT("member")};
static const struct hd_shape architecture[] = {TEXT("member", .words = architectures)};
static const struct hd_shape layer[] = {
    TEXT("member", .min = 1, .max = 140,
         .pattern = "arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+"),
};
static const struct hd_shape variable[] = {
    TEXT("key", .pattern = "[a-zA-Z]([a-zA-Z0-9_])+"),
    TEXT("value", .secret = true),
};
static const struct hd_shape tag[] = {TEXT("key"), TEXT("value")};

static const struct hd_shape environment[] = {
    MAP("Variables", variable, .secret = true),
    {0},
};
static const struct hd_shape dead_letters[] = {TEXT("TargetArn", .pattern = HD_PATTERN_ARN), {0}};
static const struct hd_shape tracing[] = {TEXT("Mode", .words = tracing_modes), {0}};
static const struct hd_shape ephemeral[] = {
    INTEGER("Size", .required = true, .min = 512, .max = 10240),
    {0},
};
static const struct hd_shape snap_start[] = {TEXT("ApplyOn", .words = apply_on), {0}};
static const struct hd_shape logging[] = {
    TEXT("LogFormat", .words = log_formats),
    TEXT("ApplicationLogLevel", .words = app_levels),
    TEXT("SystemLogLevel", .words = system_levels),
    TEXT("LogGroup", .min = 1, .max = 512, .pattern = "[\\.\\-_/#A-Za-z0-9]+"),
    {0},
};
static const struct hd_shape vpc[] = {
    LIST("SubnetIds", any_text, .max = 16),
    LIST("SecurityGroupIds", any_text, .max = 5),
    BOOLEAN("Ipv6AllowedForDualStack"),
    {0},
};
static const struct hd_shape file_system_members[] = {
    TEXT("Arn", .required = true, .max = 256,
         .pattern = "arn:aws[a-zA-Z-]*:elasticfilesystem:[a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-\\d{1}"
                    ":\\d{12}:access-point/fsap-[a-f0-9]{17}"),
    TEXT("LocalMountPath", .required = true, .max = 160, .pattern = "/mnt/[a-zA-Z0-9-_.]+"),
    REFUSED("S3FilesConfig"),
    {0},
};
static const struct hd_shape file_system[] = {STRUCT("member", file_system_members)};
static const struct hd_shape image[] = {
    LIST("EntryPoint", any_text, .max = 1500),
    LIST("Command", any_text, .max = 1500),
    TEXT("WorkingDirectory", .max = 1000),
    {0},
};

#define CODE_MEMBERS                                                                          \
    {.name = "ZipFile", .kind = HD_SHAPE_BLOB, .secret = true},                               \
        TEXT("S3Bucket", .min = 3, .max = 63, .pattern = "[0-9A-Za-z\\.\\-_]*(?<!\\.)"),      \
        TEXT("S3Key", .min = 1, .max = 1024), TEXT("S3ObjectVersion", .min = 1, .max = 1024), \
        TEXT("ImageUri"), REFUSED("SourceKMSKeyArn"), REFUSED("S3ObjectStorageMode")

static const struct hd_shape code[] = {CODE_MEMBERS, {0}};

#define ROLE(is_required)                 \
    TEXT("Role", .required = is_required, \
         .pattern = "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+")
/* Runtime has no constraint here: whether it is known, retired or wrong has messages of its own. */
#define CONFIGURATION                                                                   \
    TEXT("Runtime"), TEXT("Handler", .max = 128, .pattern = "[^\\s]+"),                 \
        TEXT("Description", .max = 256), INTEGER("Timeout", .min = 1, .max = 900),      \
        INTEGER("MemorySize", .min = 128, .max = 10240), STRUCT("VpcConfig", vpc),      \
        STRUCT("DeadLetterConfig", dead_letters), STRUCT("Environment", environment),   \
        TEXT("KMSKeyArn", .pattern = HD_PATTERN_ARN), STRUCT("TracingConfig", tracing), \
        LIST("Layers", layer), LIST("FileSystemConfigs", file_system, .max = 1),        \
        STRUCT("ImageConfig", image), STRUCT("EphemeralStorage", ephemeral),            \
        STRUCT("SnapStart", snap_start), STRUCT("LoggingConfig", logging),              \
        REFUSED("CapacityProviderConfig"), REFUSED("DurableConfig")

const struct hd_shape hd_function_create_input[] = {
    TEXT("FunctionName", .required = true, .min = 1, .max = 140, .pattern = HD_PATTERN_FUNCTION),
    ROLE(true),
    {.name = "Code", .kind = HD_SHAPE_STRUCT, .of = code, .required = true},
    CONFIGURATION,
    BOOLEAN("Publish"),
    TEXT("PackageType", .words = package_types),
    MAP("Tags", tag),
    TEXT("CodeSigningConfigArn", .max = 200,
         .pattern =
             "arn:(aws[a-zA-Z-]*)?:lambda:[a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-\\d{1}:\\d{12}:"
             "code-signing-config:csc-[a-z0-9]{17}"),
    LIST("Architectures", architecture, .min = 1, .max = 1),
    REFUSED("PublishTo"),
    REFUSED("TenancyConfig"),
    {0},
};

const struct hd_shape hd_function_configuration_input[] = {
    HD_SHAPE_FUNCTION_NAME, ROLE(false), CONFIGURATION, TEXT("RevisionId"), {0},
};

const struct hd_shape hd_function_code_input[] = {
    HD_SHAPE_FUNCTION_NAME, CODE_MEMBERS,
    BOOLEAN("Publish"),     BOOLEAN("DryRun"),
    TEXT("RevisionId"),     LIST("Architectures", architecture, .min = 1, .max = 1),
    REFUSED("PublishTo"),   {0},
};
