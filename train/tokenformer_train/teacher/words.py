"""What prompts are made of."""


def words(text: str) -> list[str]:
    return [" ".join(word.split()) for word in text.split(",")]


GIRLS = words("""
    Anna, Mary, Rose, Lucy, Clara, Edith, Nora, Ida, Mabel, Ellen, Martha, Ruth, Alice, Hetty, Molly, Kate, Ada,
    Flora, Greta, Ingrid, Hilda, Tess, Wren, Nell, Polly, Agnes, Bess, Dora, Effie, Fern, Gwen, Hannah, Iris, Jane,
    Kitty, Lottie, Maud, Olive, Pearl, Sally, Tilly, Una, Vera, Willa, Zara, Amina, Priya, Mei, Yuki, Sofia, Elena,
    Marta, Leila, Noor, Rosa, Carmen, Ines, Freya, Astrid, Mina, Anya, Nadia, Zofia, Katya, Chloe, Emma, Julia, Laura,
    Maya, Nina, Paula, Sara, Thea, Viola, Beatrice, Cora, Daisy, Esther, Florence, Lily, Ella, Grace, Sophie, Amy
""")
BOYS = words("""
    Tom, Jack, Will, Ned, Peter, Sam, Ben, Henry, Arthur, George, Harry, Fred, Hugh, Robin, Simon, Walter, Albert,
    Ernest, Oscar, Felix, Leo, Max, Otto, Karl, Emil, Anton, Pavel, Ivan, Marco, Luca, Pablo, Diego, Omar, Karim,
    Ravi, Arjun, Kenji, Wei, Kofi, Jonas, Lars, Nils, Erik, Finn, Rory, Callum, Owen, Evan, Davy, Jem, Toby, Bert,
    Archie, Alfie, Stanley, Cyril, Basil, Ralph, Roger, Rufus, Silas, Jonah, Caleb, Amos, Eli, Noah, Adam, Joel,
    Miles, Giles, Martin, Philip, Edmund, Edgar, Gilbert, Hector, Julian, Kit, Matthew, John, James, David, Daniel,
    Billy
""")
# Names that the teacher likes to bring in; in a text whose cast they are not, they show that it lost its people.
OTHERS = words("""
    Elara, Luna, Lyra, Aria, Zephyr, Kael, Aurora, Jasper, Alex, Sarah, Emily, Rachel, Michael, Maria, Sophia, Olivia,
    Ethan, Liam, Lily, Mia, Ava, Jake, Mark, Timmy, Tim, Bob, Bobby, Lila, Emilia, Orion, Finnley, Whiskers, Willow,
    Rosie, Ruby, Charlie, Thomas, William, Robert, Elizabeth, Margaret, Elsie, Eira, Eleanor, Jamie, Jenny, Susan,
    Rebecca, Helen, Samuel, Benjamin, Joseph, Edward, Charles, Richard, Victoria, Isabella, Amelia
""")
WOMEN = words("""
    Mrs. Fenn, Miss Tate, Mrs. Crane, Aunt Rose, Aunt Hilda, Mrs. Applewood, Miss Winter, Granny Moss, old Mrs. Lark,
    Mrs. Tanaka, Mrs. Moreau, Sister Agnes, Mrs. Hill, Miss Brown, Aunt Clara, Mrs. Baker
""")
MEN = words("""
    Mr. Pell, Mr. Ashby, Captain Ross, Captain Hale, Doctor Bell, Uncle Joe, Uncle Bert, old Mr. Finch, Mr. Thorn,
    Professor Gray, Father Brennan, Mr. Okoro, old Tam, old Jacob, Mr. Singh, Mr. Wood, Mr. Hill, Mr. Green
""")
PETS = words("""
    Pip, Bramble, Patch, Biscuit, Moss, Button, Pepper, Hazel, Nutmeg, Rusty, Tansy, Smudge, Berry, Clover, Dusty,
    Acorn, Pebble, Ginger, Socks, Midge, Barley, Thistle, Fudge, Snowy, Bean, Tuppence, Marlow, Bobbin
""")

FEMALE_ROLES = words("""
    queen, princess, widow, goose girl, milkmaid, dressmaker, grandmother, nurse, schoolgirl, maid, fairy, witch,
    mermaid, old woman, young woman, little girl, flower seller, piano teacher, weaver, cook
""")
MALE_ROLES = words("""
    king, prince, fisherman, grandfather, schoolboy, butler, knight, wizard, old man, young man, boy, woodcutter,
    blacksmith, postman, sailor, soldier, shepherd, miller, ferryman, lighthouse keeper
""")
ROLES = words("""
    baker, clockmaker, farmer, tailor, teacher, doctor, librarian, gardener, carpenter, painter, fiddler, shoemaker,
    beekeeper, train driver, ticket collector, detective, night watchman, chimney sweep, waiter, inventor, astronomer,
    mapmaker, explorer, potter, candle maker, toymaker, puppet maker, bookseller, grocer, innkeeper, juggler, clown,
    magician, giant, dwarf, ghost, robot, astronaut, pilot, bus driver, mountain guide, bell ringer, umbrella mender,
    stranger, traveller, beggar, merchant, thief, judge, mayor, poet, actor, singer, dancer, photographer, vet,
    zookeeper, florist, barber, window cleaner, cyclist, chess player, stonemason, glassblower, kite maker, well
    digger, lighthouse keeper, captain, cook, shepherd, fisherman
""")
ANIMALS = words("""
    fox, rabbit, hare, mouse, bear, wolf, owl, crow, robin, sparrow, cat, kitten, dog, puppy, horse, pony, donkey,
    cow, goat, lamb, sheep, pig, hen, rooster, duck, goose, swan, frog, toad, turtle, tortoise, snail, bee, ant,
    spider, butterfly, cricket, hedgehog, badger, squirrel, otter, beaver, deer, elephant, lion, tiger, monkey,
    parrot, penguin, seal, whale, dolphin, crab, goldfish, bat, mole, magpie, heron, camel, giraffe, lizard, dragon
""")
TRAITS = words("""
    shy, proud, kind, clever, lazy, brave, curious, stubborn, lonely, honest, clumsy, quiet, cheerful, grumpy, old,
    young, little, tall, careful, forgetful, patient, greedy, gentle, poor, rich, tired, busy, wise, hungry, small,
    bold, generous, nervous, hopeful, dreamy, sleepy, polite, silent, homesick, thoughtful
""")
PLACES = words("""
    village by the sea, small town, farm, forest, deep wood, mountain village, island, lighthouse, harbour, old mill,
    castle, palace, cottage, railway station, night train, ship, small boat, desert, snowy valley, school, library,
    museum, hospital, bakery, bookshop, toy shop, market, inn, garden, walled garden, orchard, meadow, river bank,
    bridge, cave, swamp, lake, beach, cliff, attic, cellar, kitchen, empty house, boarding house, rooftop, city
    street, park, playground, zoo, circus, theatre, church, workshop, factory, mine, space station, small planet,
    hot-air balloon, caravan, bus, post office, hotel, tea room, tree house, greenhouse, barn, stable, windmill,
    waterfall, frozen river, old fort, tower, secret room, fire station, fishing pier, vineyard, observatory
""")
OBJECTS = words("""
    key, lantern, letter, map, music box, kite, silver coin, gold ring, red scarf, broken clock, wooden horse, teapot,
    umbrella, violin, old book, diary, photograph, button, hat, pair of boots, blue bottle, seed, apple, loaf of
    bread, pie, jar of honey, candle, mirror, painting, compass, telescope, bell, drum, whistle, feather, shell,
    pebble, pearl, sword, crown, necklace, watch, suitcase, box, basket, ladder, rope, boat, sled, bicycle, cart,
    wheel, door, window, gate, chair, bed, blanket, quilt, needle, coat, glove, mask, doll, puppet, ball, marble,
    chess piece, pencil, stamp, parcel, ticket, newspaper, radio, camera, lamp, stove, kettle, spoon, bowl, cup, cake,
    egg, nest, leaf, rose, oak tree, pumpkin, snowman, star, song, secret, promise, wish, riddle, message in a bottle,
    magic stone, tin soldier, paper boat, snow globe, sack of flour, jam jar, birdcage
""")
TIMES = words("""
    on a rainy evening, in winter, on a summer morning, on a windy night, in autumn, in early spring, at dawn, late at
    night, on a foggy day, on a Sunday afternoon, during a storm, on the first day of school, at midnight, one hot
    afternoon, after the snow, before breakfast, on market day, in the middle of the night, at sunset
""")
PLOTS = words("""
    something precious is lost and found again, a promise is broken and then mended, two friends quarrel and make up,
    a stranger arrives in the rain, a child is lost and is found, a small kindness is repaid, a secret is discovered,
    a storm changes the plans, a mistake turns out to be lucky, someone learns to be brave, someone must tell the
    truth, a gift is misunderstood, someone keeps watch at night, a letter arrives many years late, an animal needs
    help, somebody is blamed and forgiven, a lie grows bigger and bigger, a long journey home, a birthday is nearly
    forgotten, a neighbour everyone feared is kind, a wish comes true in the wrong way, a locked door is opened, a
    broken thing is repaired, a bad harvest and a clever idea, someone comes home after years, a fear of the dark is
    overcome, a treasure is not what it seemed, a bet is lost, the last day of summer, the first day of snow, a
    strange noise in the night, a pet runs away, a meal is shared with a stranger, a plan goes wrong in a funny way,
    an old song brings back a memory, a garden is saved, someone learns patience, a proud person learns a lesson, a
    shy person speaks up, a small creature is cleverer than a big one, a tree is saved, someone makes a new friend, a
    quiet goodbye, a family moves to a new house, someone learns to swim, a missing cake, a hidden staircase, a picnic
    in the rain, learning to ride a bicycle, a borrowed coat, a bargain is kept, three wishes are spent
""")
MOODS = words("""
    funny, sad, quiet, cheerful, gentle, warm, strange, exciting, tender, thoughtful, merry, simple
""")
KINDS = words(
    """story, story, story, story, tale, fairy tale, bedtime story, fable, adventure story, children's story"""
)
LETTERS = words("""
    the first snow of the year, a new puppy, a lost umbrella, a long journey by train, a birthday present, a broken
    window, an apology, a holiday by the sea, a new house, the harvest, a new school, a strange dream, a visit next
    month, missing home, a good book, a storm at sea, life on the farm, a bad cold, thanks for a scarf, a wedding, a
    new job, an old friendship, the garden in spring, a lost cat, a forgotten debt, moving to the city, learning to
    bake, news from the village, a noisy neighbour, an invitation to supper, a farewell, advice, a promise, memories
    of school, a day at the zoo, the price of eggs, the hens, a fever, a walk in the hills, a kind teacher
""")
POEMS = words("""
    the moon, the rain, a swallow, the sea, winter, spring, a candle, the wind, an old house, a river, snow, a star,
    the night, my garden, a cat, autumn leaves, a ship, a road, a rose, the morning, sleep, a train, the sun, home, a
    friend, a snail, the stars, a cloud, an apple tree, the mountain, summer, a clock, a fox, the city, bread, a
    shadow
""")
SIGHTS = words("""
    a kitchen, a street in the morning, the sea in winter, a garden in spring, a railway station at night, an old
    bookshop, a market, a village in the rain, a harbour at dawn, a workshop, a farmhouse, an attic, a library, the
    view from a train, a forest in autumn, a mountain path, a bakery, a river bank, a frozen lake, a small room, an
    inn on a stormy night, a church, a school yard, an island, a ship's cabin, a meadow in summer, a city roof, an old
    man, a young woman, a tired teacher, a baker at work, a fisherman at work, a snowy field, a tea room
""")
BEGINNINGS = [
    *("Once upon a time", "Once", "One day", "One morning", "One evening", "Long ago", "There was once", "In a small"),
    *("It was", "When", "Every morning", "Every Friday", "Nobody", "Everyone", "The", "At first", "On the", "In the"),
    *(
        "After",
        "Before",
        "Many years ago",
        "Far away",
        "Last summer",
        "Late one night",
        "No one knew",
        "Behind the hill",
    ),
    *("It had been raining", "The first time", "The day", "That winter", "As soon as", "Early in the", "All day"),
    *("Up in the", "Down by the", "Behind the", "Under the", "Near the", "At the end of", "Far out at sea"),
]
SAYINGS = [
    *(
        "What are you doing?",
        "Where have you been?",
        "Do you hear that?",
        "I don't believe you.",
        "What is in the box?",
    ),
    *("You are early today.", "Can you keep a secret?", "I have a question.", "Will you help me?", "Don't be afraid."),
    *("It was not my fault.", "Who is there?", "What shall we do now?", "Let us make a bargain.", "I have an idea."),
    *("Is this seat taken?", "You promised!", "Why are you crying?", "That is not how you do it.", "Come with me."),
    *("I have lost my hat.", "Look what I found!", "Tell me a story.", "Do not open it.", "It is going to rain."),
]
STYLES = [
    *("Use simple words.", "Use plain words and short sentences.", "Tell it simply.", "Use short sentences."),
    *("Write as in an old storybook.", "Write in plain, old-fashioned English.", "Keep to the people in the story."),
]
