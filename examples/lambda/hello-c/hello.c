#include <heddle/function.h>

static int greet(struct hd_event *event, struct hd_reply *reply)
{
    char name[80];
    const bool named = hd_event_text(event, "name", name, sizeof(name)) > 0;
    hd_reply_str(reply, "{\"message\":\"Hello\",\"to\":");
    hd_reply_json(reply, hd_str(named ? name : "world"));
    return hd_reply_str(reply, "}");
}

int main(int argc, char **argv)
{
    return hd_function_main(argc, argv, greet, NULL);
}
